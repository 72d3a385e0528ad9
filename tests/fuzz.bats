#!/usr/bin/env bats
# The fuzz targets over their corpora and some hundreds of random changes of each file (make fuzz looks further).

load common

setup() {
	scratch
}

# replay TARGET
replay() {
	local target=${BUILD:-$root/build}/tests/fuzz-$1 files=("$root/tests/fuzz/corpus/$1"/*)
	[ -e "$target" ] || skip "no $target (make test builds it)"
	[ -e "${files[0]}" ]
	run "$target" -n "${PALIMPSEST_LONG:+20}200" "${files[@]}"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = "$((${#files[@]} * (${PALIMPSEST_LONG:+20}200 + 1))) inputs" ]
}

@test "fuzz: json" { replay json; }
@test "fuzz: model" { replay model; }
@test "fuzz: reader" { replay reader; }
@test "fuzz: safetensors" { replay safetensors; }
@test "fuzz: tokfile" { replay tokfile; }
@test "fuzz: tokenizer" { replay tokenizer; }
@test "fuzz: tsv" { replay tsv; }
