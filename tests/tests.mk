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

# Preloaded into tools by fault.bats.
$(BUILD)/tests/inject.so: tests/fault/inject.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -shared -fPIC -o $@ $<

# Tests that take minutes look at PALIMPSEST_LONG.
test-long: setup-test
	@PALIMPSEST_LONG=1 $(MAKE) --no-print-directory all run-tests

.PHONY: run-tests
# TESTS='tokenize unit/json' runs only those.
TESTS =
run-tests: $(units) $(BUILD)/tests/inject.so
	@BUILD='$(abspath $(BUILD))' tests/run.sh $(TESTS)

# Timings, no tests: make bench builds and runs them.
benches := $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c))

$(benches): $(BUILD)/tests/%: $(BUILD)/obj/tests/bench/%.o $(nn) $(lib) $(shim)
	@mkdir -p $(@D)
	$(CC) $(ldflags) -o $@ $< $(nn) $(lib) $(shim) -Wl,-rpath,$(abspath $(BUILD)/lib) -Wl,--allow-shlib-undefined $(libs)

bench: $(benches)
	@for b in $(benches); do $$b || exit 1; done
