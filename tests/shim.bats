# The shim's header and its symbols.

setup() {
	cd "$BATS_TEST_DIRNAME/.." || exit 1
	shim=$BUILD/lib/libpalimpsest-shim.so
}

@test "tensor.h compiles alone as strict C11" {
	run "${CC:-gcc}" -std=c11 -pedantic-errors -Wall -Wextra -Wstrict-prototypes -Werror -fsyntax-only -xc shim/tensor.h
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "tensor.h compiles alone as strict C++17" {
	run "${CXX:-g++}" -std=c++17 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -xc++ shim/tensor.h
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "the shim shows th_ symbols and no others" {
	run bash -c "nm -D --defined-only '$shim' | awk '{ print \$3 }' | grep -v '^th_'"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
}

@test "every function of tensor.h is there, and nothing that is not in tensor.h" {
	declared=$(grep -oE '^TH_API .*' shim/tensor.h | grep -oE 'th_[a-z0-9_]+\(' | tr -d '(' | sort)
	defined=$(nm -D --defined-only "$shim" | awk '{ print $3 }' | sort)
	[ "$(wc -l <<<"$declared")" -ge 70 ]
	diff <(echo "$declared") <(echo "$defined")
}

@test "only the shim sees libtorch's headers" {
	run grep -rlE '#include <(ATen|torch|c10)/' tools tests --include='*.c' --include='*.h'
	[ "$status" -eq 1 ]
	[ -z "$output" ]
}

@test "the kernels of every instruction set give the same and stay inside their memory" {
	"${CXX:-g++}" -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all tests/shim-kernels.cpp \
		-o "$BATS_TEST_TMPDIR/kernels"
	run "$BATS_TEST_TMPDIR/kernels"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = ok ]
}

@test "bfloat16 where oneDNN does not multiply it comes out right, too, by products of f32" {
	for unit in tensor gpt2 llama bert; do
		ONEDNN_MAX_CPU_ISA=AVX2 run "$BUILD/tests/$unit"
		echo "$output"
		[ "$status" -eq 0 ]
	done
}
