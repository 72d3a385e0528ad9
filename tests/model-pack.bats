#!/usr/bin/env bats
# model-pack: what goes in comes out, smaller; damage and the wrong model are noticed.

load common

setup() {
	scratch
	sh "$root/tests/toy.sh" toy
	sed 's/"n_embd": 16, "n_layer": 1/"n_embd": 64, "n_layer": 4/' toy/config.json >large.json
	model-init -q -c large.json -t toy/tokenizer -o m0 --seed 1
	model-init -q -c large.json -t toy/tokenizer -o m1 --seed 2
	jq -r .text toy/corpus.jsonl | tokenize -q -t m0 -o a.tok
}

@test "a model and its difference to another, bit for bit" {
	cpt-step -q -m m0 -o c1 --steps 3 --batch 4 --lr 1e-5 --threads 1 a.tok >/dev/null
	cpt-step -q -m c1 -o m2 --steps 3 --batch 4 --lr 1e-5 --threads 1 a.tok >/dev/null
	model-pack -o m2.pack m2
	model-pack -d -o plain m2.pack
	diff -r m2 plain
	model-pack -o m2d.pack --from c1 m2
	model-pack -d -o again --from c1 m2d.pack
	diff -r m2 again
	[ "$(ls)" = "$(printf '%s\n' a.tok again c1 large.json m0 m1 m2 m2.pack m2d.pack plain toy)" ]
	# zlib alone finds little in weights; the difference of near ones is small
	[ "$(stat -c %s m2d.pack)" -lt $(($(stat -c %s m2.pack) * 8 / 10)) ]
	# nothing at all is left of the same model
	model-pack -o same.pack --from m2 m2
	[ "$(stat -c %s same.pack)" -lt $(($(stat -c %s m2.pack) / 50)) ]
	model-pack -o m2d.pack.2 --from c1 m2
	cmp m2d.pack m2d.pack.2
	# a model that stands there is replaced
	model-pack -d -o plain --from c1 m2d.pack
	diff -r m2 plain
}

@test "every value of floats, infinities, NaN and signs; files of odd sizes, and of other sizes" {
	mkdir x y back
	head -c 3000003 /dev/urandom >x/noise
	head -c 3000003 /dev/urandom >y/noise
	: >x/empty && : >y/empty
	printf abc >x/short && printf abcd >y/short
	echo 1 >x/a.tmp.1
	for w in "F32 4 250000" "F16 2 500001" "BF16 2 700000"; do
		read -r dtype width n <<<"$w"
		for d in x y; do
			header="{\"t\":{\"dtype\":\"$dtype\",\"shape\":[$n],\"data_offsets\":[0,$((n * width))]}}"
			# random bits are any number there is; the first are zeros, infinities and NaN of both signs
			{
				printf '%b' "$(printf '\\x%02x' ${#header})\\0\\0\\0\\0\\0\\0\\0" && printf %s "$header"
				printf '\0\0\0\0\0\0\0\x80\0\0\x80\x7f\0\0\x80\xff\0\0\xc0\x7f\xff\xff\xff\xff\x01\0\0\0\x01\0\0\x80'
				head -c $((n * width - 32)) /dev/urandom
			} >"$d/$dtype.safetensors"
		done
	done
	model-pack -o x.pack --from y x
	rmdir back
	model-pack -d -o back --from y x.pack
	diff -r x back
}

@test "a longer header is a difference, one number more another model" {
	head -c 8004 /dev/urandom >noise
	model() { # DIR NUMBERS [BLANKS]
		header="{\"t\":{\"dtype\":\"F32\",\"shape\":[$2],\"data_offsets\":[0,$((4 * $2))]}}${3-}"
		mkdir "$1"
		printf '%b' "$(printf '\\x%02x' ${#header})\\0\\0\\0\\0\\0\\0\\0" >"$1/model.safetensors"
		{ printf %s "$header" && head -c $((4 * $2)) noise; } >>"$1/model.safetensors"
	}
	model a 2000
	model longer 2000 '        '
	model larger 2001
	model-pack -o p --from a longer
	fails 3 'give --from' -- model-pack -d -o out p
	model-pack -d -o back --from a p
	diff -r longer back
	model-pack -o p --from a larger
	model-pack -d -o out p
	diff -r larger out
}

@test "damage, truncation and another model are noticed, and nothing is made" {
	model-pack -o p --from m0 m1
	fails 3 'give --from' -- model-pack -d -o out p
	fails 3 'not what' -- model-pack -d -o out --from m1 p
	size=$(stat -c %s p)
	for n in 0 5 11 20 100 $((size / 2)) $((size - 1)); do
		head -c "$n" p >cut
		fails 3 'truncated' -- model-pack -d -o out --from m0 cut
	done
	{ cat p && echo; } >longer
	fails 3 'more behind' -- model-pack -d -o out --from m0 longer
	RANDOM=3
	for ((i = 0; i < 40; i++)); do
		cp p bad
		at=$(((RANDOM * 32768 + RANDOM) % size))
		byte=$(od -An -tu1 -j $at -N 1 p)
		printf '%b' "\\x$(printf %02x $((byte ^ (1 << RANDOM % 8))))" | dd of=bad bs=1 seek=$at conv=notrunc status=none
		run model-pack -d -o out --from m0 bad
		# a changed letter of a name only gives the file another name
		[ "$status" -eq 3 ] || { [ "$status" -eq 0 ] && [ "$(cat out/* | sha256sum)" = "$(cat m1/* | sha256sum)" ] && rm -r out; } ||
			[ "$status" -eq 1 ] || { echo "byte $at: $status: $output"; return 1; }
		[ ! -e out ]
		[ ! -e out.partial ]
	done
	printf 'PLMPACK1\1\0\0\0\4\0../x\1\0\0\0\0\0\0\0\0\1' >evil
	fails 3 'not a name' -- model-pack -d -o out evil
	printf 'PLMPACK1\377\377\377\377' >many
	fails 3 'files' -- model-pack -d -o out many
	fails 3 'not made by' -- model-pack -d -o out m0/config.json
	[ ! -e out ]
}

@test "usage, and what stands where it would write" {
	fails 2 'is needed' -- model-pack -o x
	fails 2 '-o is missing' -- model-pack m0
	fails 1 'nowhere' -- model-pack -o x nowhere
	[ ! -e x ]
	cp -r m1 half
	touch half/.unfinished
	fails 1 'cannot pack half: it is unfinished' -- model-pack -o x half
	[ ! -e x ]
	model-pack -o p m0
	cp -r m0 m2 && mkdir m2/1_Pooling && touch m2/1_Pooling/config.json
	fails 1 'cannot pack m2: it holds 1_Pooling' -- model-pack -o x m2
	rm -r m2/1_Pooling && ln -s nowhere m2/link
	fails 1 'm2/link: No such file' -- model-pack -o x m2
	fails 1 'cannot open nowhere: No such file' -- model-pack -o x --from nowhere m0
	fails 1 'cannot open nowhere: No such file' -- model-pack -d -o x --from nowhere p
	[ ! -e x ]
	cp -r m0 in && model-pack -o in/p in # not itself
	cmp in/p p
	mkdir folder && touch folder/thing
	fails 1 'cannot replace folder' -- model-pack -d -o folder p
	[ "$(ls folder)" = thing ]
	mkdir src && echo '{}' >src/config.json && touch src/main.c
	fails 1 'cannot replace src' -- model-pack -d -o src p
	[ -e src/main.c ]
}
