# Tests: NAME.bats for tools and pipelines, unit/NAME.c (cmocka) for tools/lib, tools/nn and the shim.
# A unit test that includes a header of nn/ or shim/ links them. Included by the Makefile.

unit_src  := $(wildcard tests/unit/*.c)
nn_unit   := $(patsubst tests/unit/%.c,%,$(shell grep -lE '^.include "(nn/|shim/)' $(unit_src) /dev/null))
c_unit    := $(filter-out $(nn_unit),$(patsubst tests/unit/%.c,%,$(unit_src)))
units     := $(addprefix $(BUILD)/tests/,$(c_unit) $(nn_unit))

$(BUILD)/have-cmocka: $(BUILD)/cflags.stamp
	@printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <cmocka.h>\n' | \
		$(CC) -E -xc - >/dev/null 2>&1 || { echo "palimpsest: cmocka.h is missing: run: make setup-test" >&2; exit 1; }
	@touch $@

$(addprefix $(BUILD)/tests/,$(c_unit)): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(lib) | $(BUILD)/have-cmocka
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $< $(lib) -lcmocka $(libs)

$(addprefix $(BUILD)/tests/,$(nn_unit)): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(nn) $(lib) $(shim) | $(BUILD)/have-cmocka
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $< $(nn) $(lib) $(shim) -Wl,-rpath,$(abspath $(BUILD)/lib) -Wl,--allow-shlib-undefined -lcmocka $(libs)

# Small programs that tests call.
helpers := $(patsubst tests/helper/%.c,$(BUILD)/tests/%,$(wildcard tests/helper/*.c))

$(helpers): $(BUILD)/tests/%: $(BUILD)/obj/tests/helper/%.o $(nn) $(lib)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $< $(nn) $(lib) $(libs)

# Preloaded into tools by fault.bats.
$(BUILD)/tests/inject.so: tests/fault/inject.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -shared -fPIC -o $@ $<

# In place of NVIDIA's, for job-meter.bats.
$(BUILD)/tests/nvml/libnvidia-ml.so.1: tests/fault/nvml.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -shared -fPIC -o $@ $<

# Fuzz targets: replayed by fuzz.bats, and `make fuzz` (clang with libFuzzer): FUZZ_SECONDS each, FUZZ='json tsv' for some.
fuzzers      := $(patsubst tests/fuzz/%.c,%,$(filter-out tests/fuzz/fuzz.c,$(wildcard tests/fuzz/*.c)))
fuzz_ld      := $(addprefix -Wl$(comma)--wrap=,exit malloc calloc realloc free mmap munmap inflateInit2_)
fuzz_obj      = $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(wildcard tools/lib/*.c))
FUZZ_SECONDS  = 30
FUZZ          = $(fuzzers)
CLANG         = $(firstword $(foreach c,clang $(addprefix clang-,20 19 18 17 16 15 14),$(shell command -v $(c))))
clang_flags   = -std=c11 -D_GNU_SOURCE -DFUZZ_ENGINE -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -pthread -Itools/lib -Itools

$(addprefix $(BUILD)/tests/fuzz-,$(fuzzers)): $(BUILD)/tests/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/fuzz.o $(lib)
	@mkdir -p $(@D)
	$(CC) $(ldflags) $(fuzz_ld) -o $@ $< $(BUILD)/obj/tests/fuzz/fuzz.o $(lib) $(libs)

$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	@test -n "$(CLANG)" || { echo "palimpsest: clang is missing: make fuzz needs it and its libFuzzer" >&2; exit 1; }
	$(CLANG) $(clang_flags) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(addprefix $(BUILD)/fuzz/,$(fuzzers)): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/%.o $(BUILD)/fuzz/obj/tests/fuzz/fuzz.o $(fuzz_obj)
	$(CLANG) $(clang_flags) -fsanitize=fuzzer $(fuzz_ld) -o $@ $^ $(libs)

# New inputs that reach new code are kept in build/fuzz/corpus; one that fails, in build/fuzz/NAME-crash-...
fuzz: $(addprefix $(BUILD)/fuzz/,$(FUZZ))
	@for t in $(FUZZ); do echo "# $$t"; mkdir -p $(BUILD)/fuzz/corpus/$$t; \
		$(BUILD)/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -close_fd_mask=2 -timeout=20 -verbosity=1 \
			-artifact_prefix=$(BUILD)/fuzz/$$t- $(BUILD)/fuzz/corpus/$$t tests/fuzz/corpus/$$t 2>$(BUILD)/fuzz/$$t.log || \
			{ tail -n 40 $(BUILD)/fuzz/$$t.log; exit 1; }; tail -n 1 $(BUILD)/fuzz/$$t.log; done

-include $(shell find $(BUILD)/fuzz/obj -name '*.d' 2>/dev/null)

# Tests that take minutes look at PALIMPSEST_LONG.
test-long: setup-test
	@PALIMPSEST_LONG=1 $(MAKE) --no-print-directory all run-tests

.PHONY: run-tests
# TESTS='tokenize unit/json' runs only those.
TESTS =
run-tests: $(units) $(helpers) $(BUILD)/tests/inject.so $(BUILD)/tests/nvml/libnvidia-ml.so.1 $(addprefix $(BUILD)/tests/fuzz-,$(fuzzers))
	@BUILD='$(abspath $(BUILD))' tests/run.sh $(TESTS)

# Timings, no tests. BENCH='train tokenize': only those; ROUNDS, TEXT, TEXT_BYTES: see tests/bench/bench.py. Each *.c there
# is a program for profiling, such as build/tests/gpt-step.
$(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c)): $(BUILD)/tests/%: $(BUILD)/obj/tests/bench/%.o $(nn) $(lib) $(shim)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $< $(nn) $(lib) $(shim) -Wl,-rpath,$(abspath $(BUILD)/lib) -Wl,--allow-shlib-undefined $(libs)

BENCH =
bench: setup-bench
	@$(MAKE) --no-print-directory all
	@BUILD='$(abspath $(BUILD))' $(BUILD)/refs/bin/python tests/bench/bench.py $(BENCH)
