# palimpsest. Build: make.  Try it: make demo.  Check it: make test.
#
# LIBTORCH=DIR      folder of libtorch (with include/ and lib/); otherwise the torch of python3,
#                   otherwise build/deps, which `make deps` fills
# TORCH_INDEX=URL   where `make deps` takes torch from, such as an index of CPU-only builds
# SANITIZE=LIST     build with -fsanitize=LIST (address,undefined) in a build folder of its own
# CUDA_HOME=DIR     CUDA's toolkit, if its headers are neither beside libtorch nor in /usr/local/cuda
# PREFIX, DESTDIR, PROGRAM_PREFIX for install

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
$(if $(word 2,x$(CURDIR)x),$(error palimpsest cannot be built at a path with blanks: $(CURDIR)))

SANITIZE =
comma := ,
BUILD  = build$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))
CC     = gcc
CXX    = g++
PREFIX = /usr/local
PROGRAM_PREFIX =
DESTDIR =
TORCH_INDEX =

WARN     = -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wpointer-arith -Wwrite-strings -Wvla
CFLAGS   = -O2 -g
CXXFLAGS = -O2 -g
san     := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
cflags   = -std=c11 -D_GNU_SOURCE $(WARN) -Wstrict-prototypes -Wmissing-prototypes -pthread $(san) $(CFLAGS) -Itools/lib -Itools -I.
ldflags  = -pthread $(san) $(LDFLAGS)

# --- libtorch ---------------------------------------------------------------------------------
ifndef LIBTORCH
LIBTORCH := $(shell python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null)
ifeq ($(wildcard $(LIBTORCH)/include/ATen),)
LIBTORCH := $(abspath $(firstword $(wildcard build/deps/lib/python3*/site-packages/torch)))
endif
endif
torch_lib = $(LIBTORCH)/lib
has_cuda  = $(wildcard $(torch_lib)/libtorch_cuda.so)
# Headers of CUDA itself, for captured graphs alone (shim/graph.cpp): pip's, complete if nvidia-cuda-crt is there too, or a toolkit's.
cuda_inc  = $(if $(has_cuda),$(patsubst %/crt/host_defines.h,%,$(firstword $(wildcard $(addsuffix /crt/host_defines.h, \
            $(wildcard $(LIBTORCH)/../nvidia/*/include) $(CUDA_HOME)/include /usr/local/cuda/include)))))
# libtorch's major and minor number; its headers are C++20 from 2.14 on.
torch_version := $(shell sed -n 's/^.define TORCH_VERSION_M[AI][JN]OR \([0-9]*\).*/\1/p' $(LIBTORCH)/include/torch/headeronly/version.h \
                 $(LIBTORCH)/include/torch/csrc/api/include/torch/version.h 2>/dev/null | head -n 2)
torch_from     = $(shell set -- $(torch_version); test $$(( $${1:-0} * 100 + $${2:-0} )) -ge $(1) && echo yes)
torch_std     := c++$(if $(call torch_from,214),20,17)
# Another one in the same folder is another one.
torch_build   := $(firstword $(shell cat $(LIBTORCH)/version.py $(LIBTORCH)/build-version 2>/dev/null | cksum))
# Without -fopenmp libtorch's at::parallel_for() has one thread; its runtime comes with libtorch, so nothing more is linked.
# An enum from C can hold any number, which the shim checks for itself.
torch_cxx = -std=$(torch_std) -fopenmp -DAT_PER_OPERATOR_HEADERS -isystem $(LIBTORCH)/include \
            -isystem $(LIBTORCH)/include/torch/csrc/api/include \
            $(if $(cuda_inc),-DHAVE_CUDA_HEADERS -isystem $(cuda_inc)) -fvisibility=hidden -fvisibility-inlines-hidden \
            -D_GLIBCXX_USE_CXX11_ABI=1 -fPIC -pthread $(WARN) $(san) $(if $(SANITIZE),-fno-sanitize=enum) $(CXXFLAGS) -Ishim
# pip's CUDA build keeps CUDA's own libraries in folders beside torch; the loader finds them from libtorch itself,
# the linker only with -rpath-link.
cuda_dirs = $(wildcard $(LIBTORCH)/../nvidia/*/lib)
torch_ld  = -L$(torch_lib) -Wl,-rpath,$(torch_lib) -Wl,--no-as-needed -ltorch_cpu -lc10 \
            $(if $(has_cuda),-ltorch_cuda -lc10_cuda $(addprefix -Wl$(comma)-rpath-link$(comma),$(cuda_dirs))) -Wl,--as-needed

# --- what is built ----------------------------------------------------------------------------
# A tool that includes a header of nn/ or the shim computes, and links both; all others are torch-free.
tool_src  := $(wildcard tools/*.c)
nn_tools  := $(patsubst tools/%.c,%,$(shell grep -lE '^.include "(nn/|shim/)' $(tool_src) /dev/null))
all_tools := $(patsubst tools/%.c,%,$(tool_src))
c_tools   := $(filter-out $(nn_tools),$(all_tools))
lib_obj   := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tools/lib/*.c))
nn_obj    := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tools/nn/*.c))
shim_obj  := $(patsubst %.cpp,$(BUILD)/obj/%.o,$(wildcard shim/*.cpp))
lib       := $(BUILD)/libpalimpsest.a
nn        := $(BUILD)/libnn.a
shim      := $(BUILD)/lib/libpalimpsest-shim.so
libs       = -lcjson -lz -lm -ldl

.PHONY: all deps install uninstall clean lint test test-long bench fuzz demo setup-build setup-demo setup-test setup-bench FORCE
all: $(addprefix $(BUILD)/bin/,$(all_tools))

# How a program or the shim is linked: $(call ...,OBJECTS,OUTPUT).
link_c    = $(CC) $(ldflags) -o $(2) $(1) $(lib) $(libs)
link_nn   = $(CC) $(ldflags) -o $(2) $(1) $(nn) $(lib) $(shim) -Wl,-rpath,'$$ORIGIN/../lib' \
            -Wl,-rpath,'$$ORIGIN/../lib/palimpsest' -Wl,--allow-shlib-undefined $(libs)
link_shim = $(CXX) -shared -Wl,-soname,$(notdir $(shim)) -o $(2) $(1) -Wl,--version-script=shim/shim.map $(torch_ld) $(ldflags)

# Objects depend on the flags that made them, and what is linked on the commands that link: after a change of either, here or on the
# command line, what it concerns is made again, and nothing else.
stamp_cflags   = $(CC) $(cflags) $(ldflags)
stamp_cxxflags = $(CXX) $(torch_cxx) $(torch_ld) $(torch_build)
stamp_link     = $(call link_c,IN,OUT) $(call link_nn,IN,OUT) $(call link_shim,IN,OUT)
quote          = '$(subst ','\'',$(1))'

$(addprefix $(BUILD)/,cflags.stamp cxxflags.stamp link.stamp): $(BUILD)/%.stamp: FORCE
	@mkdir -p $(@D); echo $(call quote,$(stamp_$*)) | cmp -s - $@ || echo $(call quote,$(stamp_$*)) > $@

need = @for p in $(1); do echo "\#include <$$p>" | $(CC) -E -xc - >/dev/null 2>&1 || { \
	echo "palimpsest: $$p is missing: install $(2), or run: make setup-build" >&2; exit 1; }; done

$(BUILD)/have-headers: $(BUILD)/cflags.stamp
	$(call need,zlib.h cjson/cJSON.h,zlib1g-dev and libcjson-dev (Debian names))
	@touch $@

$(BUILD)/have-torch: $(BUILD)/cxxflags.stamp
	@test -e "$(torch_lib)/libtorch_cpu.so" || { \
		echo "palimpsest: libtorch is missing: give LIBTORCH=DIR, install torch for python3, or run: make deps" >&2; exit 1; }
	@test "$(call torch_from,206)" || { \
		echo "palimpsest: libtorch in $(LIBTORCH) is too old or not complete (found version '$(torch_version)', need 2.6)" >&2; exit 1; }
	$(if $(has_cuda),$(if $(cuda_inc),,@echo "palimpsest: no headers of CUDA (pip's nvidia-cuda-crt, or CUDA_HOME=DIR): built without captured graphs" >&2))
	@touch $@

$(BUILD)/obj/%.o: %.c $(BUILD)/cflags.stamp | $(BUILD)/have-headers
	@mkdir -p $(@D)
	$(CC) $(cflags) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.o: %.cpp $(BUILD)/cxxflags.stamp | $(BUILD)/have-torch
	@mkdir -p $(@D)
	$(CXX) $(torch_cxx) -MMD -MP -c -o $@ $<

$(lib): $(lib_obj)
$(nn): $(nn_obj)
$(lib) $(nn):
	@rm -f $@
	$(AR) rcs $@ $^

$(shim): $(shim_obj) shim/shim.map $(BUILD)/link.stamp
	@mkdir -p $(@D)
	$(call link_shim,$(shim_obj),$@)

$(addprefix $(BUILD)/bin/,$(c_tools)): $(BUILD)/bin/%: $(BUILD)/obj/tools/%.o $(lib) $(BUILD)/link.stamp
	@mkdir -p $(@D)
	$(call link_c,$<,$@)

$(addprefix $(BUILD)/bin/,$(nn_tools)): $(BUILD)/bin/%: $(BUILD)/obj/tools/%.o $(nn) $(lib) $(shim) $(BUILD)/link.stamp
	@mkdir -p $(@D)
	$(call link_nn,$<,$@)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# --- set-up -----------------------------------------------------------------------------------
setup-build setup-demo setup-test setup-bench:
	@TORCH_INDEX='$(TORCH_INDEX)' pipelines/setup.sh $(@:setup-%=%)

deps:
	@TORCH_INDEX='$(TORCH_INDEX)' pipelines/setup.sh torch

# --- the two commands -------------------------------------------------------------------------
# A second make, because set-up may bring the libtorch that this one did not find.
demo: setup-demo
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory -f pipelines/demo.mk

test: setup-test
	@$(MAKE) --no-print-directory all run-tests

include tests/tests.mk

# --- lint, install, clean ---------------------------------------------------------------------
lint:
	$(CC) -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -xc shim/tensor.h
	$(CXX) -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -xc++ shim/tensor.h
	shellcheck $$(git ls-files '*.sh' .ci/run 'tests/*.bash')
	mandoc -T lint -W warning man/*.[157]
	$(MAKE) --no-print-directory BUILD=$(BUILD)/werror WARN='$(WARN) -Werror' all

man_dir  = $(DESTDIR)$(PREFIX)/share/man
bin_dir  = $(DESTDIR)$(PREFIX)/bin
plib_dir = $(DESTDIR)$(PREFIX)/lib/palimpsest
share_dir = $(DESTDIR)$(PREFIX)/share/palimpsest
pages1   := $(wildcard man/*.1)
pages    := $(wildcard man/*.[57])

install: all
	install -d $(bin_dir) $(plib_dir) $(man_dir)/man1 $(man_dir)/man5 $(man_dir)/man7 $(share_dir)
	for t in $(all_tools); do install -m 755 $(BUILD)/bin/$$t $(bin_dir)/$(PROGRAM_PREFIX)$$t || exit 1; done
	install -m 755 $(shim) $(plib_dir)/
	for p in $(pages1:man/%=%); do install -m 644 man/$$p $(man_dir)/man1/$(PROGRAM_PREFIX)$$p || exit 1; done
	for p in $(pages:man/%=%); do install -m 644 man/$$p $(man_dir)/man$${p##*.}/ || exit 1; done
	install -m 755 $(wildcard pipelines/*.sh) $(share_dir)/
	install -m 644 $(filter-out %.sh,$(wildcard pipelines/*)) $(share_dir)/

uninstall:
	rm -f $(addprefix $(bin_dir)/$(PROGRAM_PREFIX),$(all_tools)) $(addprefix $(man_dir)/man1/$(PROGRAM_PREFIX),$(pages1:man/%=%))
	for p in $(pages:man/%=%); do rm -f $(man_dir)/man$${p##*.}/$$p; done
	rm -rf $(plib_dir) $(share_dir)

clean:
	rm -rf $(BUILD)/bin $(BUILD)/lib $(BUILD)/obj $(BUILD)/tests $(BUILD)/werror $(BUILD)/*.a $(BUILD)/*.stamp $(BUILD)/have-*
