#!/usr/bin/env bats
# tensorboard-log: what it writes is what its readers read.

load common

setup() {
	scratch
	printf '%s\n' '{"step": 1, "epoch": 0.5, "tokens": 64, "loss": 5.25, "lr": 0.001, "grad_norm": 1.5}' \
		'{"step": 2, "epoch": 1, "tokens": 128, "loss": 5, "lr": 0.0005, "grad_norm": 1.25}' '{"step": 2, "valid_loss": 4.75}' >one.jsonl
	printf '%s\n' '{"step": 1, "loss": 300.5}' '{"step": 300, "loss": -0.125, "note": "x"}' >two.jsonl
}

@test "every number of every line, by a reader written from the formats' definitions" {
	command -v python3 >/dev/null || skip "no python3"
	tensorboard-log -o tb one.jsonl two.jsonl
	[ "$(ls tb)" = events.out.tfevents.0.palimpsest ]
	python3 "$root/tests/read-events.py" tb/* >read
	diff - read <<-'END'
		0 0.0 version=brain.Event:2
		1 1.0 train/epoch=0.5 train/tokens=64 train/loss=5.25 train/lr=0.001 train/grad_norm=1.5
		2 2.0 train/epoch=1 train/tokens=128 train/loss=5 train/lr=0.0005 train/grad_norm=1.25
		2 2.0 train/valid_loss=4.75
		3 3.0 train/loss=300.5
		302 302.0 train/loss=-0.125
	END
	tensorboard-log -o again --prefix similar/small - <two.jsonl
	python3 "$root/tests/read-events.py" again/* | grep -qx '300 300.0 similar/small/loss=-0.125'
}

@test "TensorBoard itself reads it" {
	need_refs tensorboard
	tensorboard-log -o tb one.jsonl two.jsonl
	"$python" - >read <<-'END'
		from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
		a = EventAccumulator("tb")
		a.Reload()
		print(*sorted(a.Tags()["scalars"]))
		print(*[(e.step, e.value) for e in a.Scalars("train/loss")])
	END
	diff - read <<-'END'
		train/epoch train/grad_norm train/loss train/lr train/tokens train/valid_loss
		(1, 5.25) (2, 5.0) (3, 300.5) (302, -0.125)
	END
}

@test "the log of a real step" {
	command -v python3 >/dev/null || skip "no python3"
	sh "$root/tests/toy.sh" toy
	model-init -q -c toy/config.json -t toy/tokenizer -o m0 --seed 1
	jq -r .text toy/corpus.jsonl | tokenize -q -t m0 -o a.tok
	cpt-step -q -m m0 -o m1 --steps 4 --batch 2 --threads 1 a.tok >/dev/null
	tensorboard-log -o tb m1/train.log.jsonl
	python3 "$root/tests/read-events.py" tb/* | tail -n +2 | grep -oE '^[0-9]+|train/loss=[0-9.]+' | sed 's/.*=//' | paste -d ' ' - - >read
	jq -r '"\(.step) \(.loss)"' m1/train.log.jsonl | awk '{ printf "%d %.6g\n", $1, $2 }' | diff - <(awk '{ printf "%d %.6g\n", $1, $2 }' read)
}

@test "what is malformed is refused, and nothing is written" {
	refuse() { # CODE WORD TEXT
		printf "$3" >bad.jsonl
		fails "$1" "$2" -- tensorboard-log -o tb bad.jsonl
		[ ! -e tb/events.out.tfevents.0.palimpsest ] && [ -z "$(ls tb)" ]
	}
	refuse 3 'bad.jsonl:1' 'x\n'
	refuse 3 'no step' '{"loss": 1}\n'
	refuse 3 'bad.jsonl:2' '{"step": 1}\n{"step": "2"}\n'
	refuse 3 'step -1' '{"step": -1}\n'
	refuse 3 'truncated' '{"step": 1}'
	fails 1 'nowhere' -- tensorboard-log -o tb nowhere
	fails 2 '-o is missing' -- tensorboard-log one.jsonl
	fails 2 'no log' -- tensorboard-log -o tb
	fails 2 'control characters' -- tensorboard-log -o tb --prefix $'a\nb' one.jsonl
}
