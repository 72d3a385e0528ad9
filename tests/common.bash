# Shared by the .bats files: `load common`, and in setup() `scratch`.
# shellcheck shell=bash disable=SC2154
bats_require_minimum_version 1.5.0

# The tools under test on the path; a new empty folder that bats removes.
scratch() {
	root=$BATS_TEST_DIRNAME/..
	PATH="${BUILD:-$root/build}/bin:$PATH"
	mkdir "$BATS_TEST_TMPDIR/scratch" && cd "$BATS_TEST_TMPDIR/scratch" || return 1 # bats keeps files of its own above
	export LC_ALL=C.UTF-8 OMP_NUM_THREADS=1
}

# scratch_file: in setup_file(), the same for what all tests of a file share, in the folder $given.
scratch_file() {
	root=$BATS_TEST_DIRNAME/..
	PATH="${BUILD:-$root/build}/bin:$PATH"
	export LC_ALL=C.UTF-8 OMP_NUM_THREADS=1 given=$BATS_FILE_TMPDIR
	cd "$given" || return 1
}

# tiny_gpt2 [FILTER]: the configuration of a small model for the tokenizer in tests/gpt2-1024, changed by jq's FILTER
tiny_gpt2() {
	jq "${1:-.}" <<-'END'
		{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 2, "n_head": 2, "n_embd": 32,
		 "n_positions": 32, "vocab_size": 1024, "bos_token_id": 1023, "eos_token_id": 1023}
	END
}

# words SEED N: N words drawn from a few, in lines of ten
words() {
	awk -v x="$1" -v n="$2" 'BEGIN {
		split("the of river stone and light old song in water bridge under night", w, " ")
		for (i = 1; i <= n; i++) {
			x = (x * 16807) % 2147483647
			printf "%s%s", w[1 + int(x / 2147483647 * 13)], i % 10 && i < n ? " " : "\n"
		}
	}'
}

# data_of FILE.safetensors: where its data begin
data_of() {
	echo $((8 + $(od -An -tu8 -N8 "$1")))
}

# poke FILE OFFSET BYTES: BYTES as printf has them
poke() {
	# shellcheck disable=SC2059
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# need_refs MODULE...: skips unless build/refs (make setup-test) has these Python modules; then $python runs it.
need_refs() {
	python=$root/build/refs/bin/python
	[ -x "$python" ] || skip "no reference implementations (make setup-test)"
	local m
	for m in "$@"; do
		"$python" -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$m'))" || skip "no $m in build/refs"
	done
}

# need_shared FILE...: skips unless ../shared holds them; then $shared is its path.
need_shared() {
	local f
	for shared in "$root/../shared" "$root/../../shared"; do
		[ -d "$shared" ] && break
	done
	for f in "$@"; do
		[ -e "$shared/$f" ] || skip "no ../shared/$f"
	done
}

# sha_of FILE...: "sha256 HEX" of them all together, as on the first line of tables
sha_of() {
	echo "sha256 $(cat "$@" | sha256sum | cut -d' ' -f1)"
}

# limit_memory KIB: of address space, from here on; a sanitized build needs terabytes of it.
limit_memory() {
	case ${BUILD:-} in
	*sanitize*) ;;
	*) ulimit -v "$1" ;;
	esac
}

# fails CODE WORD... -- COMMAND...: the command exits with CODE, prints nothing on stdout and one line with these words on stderr.
# shellcheck disable=SC2154 # run sets them
fails() {
	local code=$1 words=() w
	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	run --separate-stderr "$@"
	[ "$status" -eq "$code" ] || { echo "exit $status, not $code: $stderr"; return 1; }
	[ -z "$output" ] || { echo "on stdout: $output"; return 1; }
	[ "${#stderr_lines[@]}" -eq 1 ] || { echo "not one line: $stderr"; return 1; }
	for w in "${words[@]}"; do
		[[ $stderr == *"$w"* ]] || { echo "no '$w' in: $stderr"; return 1; }
	done
}
