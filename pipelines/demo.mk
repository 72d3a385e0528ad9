# demo.mk: the fifteen genres of the Brown corpus in two orders, from the small base model: what it learns, keeps and loses.
#
#	make demo                     # sets up, and runs this
#	make -f pipelines/demo.mk     # goes on where it was stopped; when it is complete, prints the result again
#
# TRAIN_BYTES, TEST_BYTES   text of each genre, at most; EMBED_LINES paragraphs of it decide where it stands
# ORDER                     as for cpt.mk, which does the work; so are the others below
# JOBS                      programs at the same time, of one thread each, unless make is given -j

include $(dir $(lastword $(MAKEFILE_LIST)))tools.mk

root  := $(patsubst %/,%,$(dir $(pipelines)))
OUT   ?= $(root)/run/demo
BROWN ?= $(root)/build/data/brown
MODEL ?= $(root)/examples/base
SBERT ?= $(root)/build/data/minilm
ORDER ?= similar random
SEED  ?= 1

TRAIN_BYTES ?= 80000
TEST_BYTES  ?= 15000
EMBED_LINES ?= 100
BATCH  ?= 4
LR     ?= 3e-4
EPOCHS ?= 1
JOBS   ?= $(shell n=$$(nproc); echo $$((n > 8 ? 8 : n)))

.PHONY: all
all: $(OUT)/brown.jsonl
	@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) -f $(pipelines)/cpt.mk $(study)
	@$(MAKE) --no-print-directory -f $(pipelines)/cpt.mk $(study) show
	@echo
	@echo 'The report, with figures: $(OUT)/report.html'

study = OUT='$(OUT)' CORPUS='$(OUT)/brown.jsonl' \
	SPLIT_FLAGS='--format jsonl --newlines keep --valid-bytes 1 --test-bytes $(TEST_BYTES) --max-train-bytes $(TRAIN_BYTES)' \
	MODEL='$(MODEL)' SBERT='$(SBERT)' EMBED_FLAGS='-n $(EMBED_LINES) --precision bf16' EMBED_TOGETHER=8 BASE_VECTORS='$(wildcard $(MODEL)/vectors.tsv)' \
	PORTIONS=informative,imaginative ORDER='$(ORDER)' SEED='$(SEED)' THREADS=1 KEEP=last Q=-q \
	TEST_BYTES='$(TEST_BYTES)' \
	STEP_FLAGS='--batch $(BATCH) --lr $(LR) --epochs $(EPOCHS) --dropout 0' EVAL_FLAGS='--protocol disjoint' \
	TITLE='Fifteen genres of the Brown corpus'

$(OUT)/brown.jsonl: $(pipelines)/brown-to-jsonl.sh $(BROWN)/cats.txt
	@mkdir -p $(@D)
	@echo 'Brown: 500 samples of American English of 1961, in fifteen genres' >&2
	@sh $< $(BROWN) > $@.new && mv $@.new $@
