# base.mk: trains the small base model of the examples, a GPT-2 of 3.4 million parameters.
#
#	make -f pipelines/base.mk            # goes on where it was stopped; `nice` and OMP_NUM_THREADS as you like
#	make -f pipelines/base.mk publish    # copies the result to DEST, with README.md (recipe, hashes, perplexity)
#
# BASE   folder whose text/*.txt.gz is the training text, one paragraph a line; examples/base/README.md says which
# GPT2   folder with GPT-2's encoder.json and vocab.bpe; the tokenizer is cut from it to VOCAB ids
# SBERT  Sentence-BERT, for the vector of this text as a whole, where the order `similar` begins
# OUT    where it works; DEST where publish puts the model
# HELD   bytes at the head of each file that are held out for evaluation (their documents stand in random order)

include $(dir $(lastword $(MAKEFILE_LIST)))tools.mk

root := $(patsubst %/,%,$(dir $(pipelines)))
BASE ?= $(root)/../shared/data/base
GPT2 ?= $(root)/build/data/gpt2
SBERT ?= $(root)/build/data/minilm
OUT  ?= $(root)/run/base
DEST ?= $(root)/examples/base

VOCAB   ?= 8192
WIDTH   ?= 192
LAYERS  ?= 4
HEADS   ?= 6
CONTEXT ?= 256
HELD    ?= 40000
EPOCHS  ?= 1.5
BATCH   ?= 16
LR      ?= 1.5e-3
WARMUP  ?= 0.03
SEED    ?= 1
STEP_FLAGS ?= --precision bf16 --threads 1
train   := --epochs $(EPOCHS) --batch $(BATCH) --context $(CONTEXT) --lr $(LR) --schedule cosine --warmup $(WARMUP) \
           --weight-decay 0.1 --dropout 0 --dtype bf16 --seed $(SEED) $(STEP_FLAGS)

names := $(patsubst $(BASE)/text/%.txt.gz,%,$(wildcard $(BASE)/text/*.txt.gz))
ifeq ($(names),)
$(error no text in $(BASE)/text: give BASE=DIR with text/NAME.txt.gz)
endif

.PHONY: all publish
.DEFAULT_GOAL := all
all: $(OUT)/rows.tsv
	@awk -F '\t' -f $(pipelines)/perplexity.awk $<

.PRECIOUS: $(OUT)/text/%.test.txt $(OUT)/text/%.train.txt $(OUT)/tok/%.tok

# What settings say, each where something is made by it. Only another content counts as a change.
held  := $(HELD)
vocab := $(VOCAB)
.PHONY: FORCE
$(addprefix $(OUT)/,held.txt vocab.txt train.txt config.txt): $(OUT)/%.txt: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$$*" > $@.tmp
	@if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi

# The first HELD bytes' lines are for evaluation, the others for training.
$(OUT)/text/%.test.txt: $(BASE)/text/%.txt.gz $(OUT)/held.txt
	@mkdir -p $(@D)
	gzip -dc $< | LC_ALL=C awk -v held=$(HELD) '(n += length() + 1) <= held { print; next } { exit }' > $@.tmp
	mv $@.tmp $@
$(OUT)/text/%.train.txt: $(BASE)/text/%.txt.gz $(OUT)/held.txt
	@mkdir -p $(@D)
	gzip -dc $< | LC_ALL=C awk -v held=$(HELD) '(n += length() + 1) > held' > $@.tmp
	mv $@.tmp $@

$(OUT)/tokenizer/tokenizer.json: $(GPT2)/encoder.json $(GPT2)/vocab.bpe $(OUT)/vocab.txt
	sh $(pipelines)/cut-vocab.sh $(VOCAB) $(GPT2) $(@D)

$(OUT)/tok/%.tok: $(OUT)/text/%.txt $(OUT)/tokenizer/tokenizer.json
	@mkdir -p $(@D)
	$(TOKENIZE) -t $(OUT)/tokenizer -o $@ $<

eos = $(shell expr $(VOCAB) - 1)
define config
{
  "model_type": "gpt2",
  "architectures": ["GPT2LMHeadModel"],
  "vocab_size": $(VOCAB),
  "n_embd": $(WIDTH),
  "n_layer": $(LAYERS),
  "n_head": $(HEADS),
  "n_positions": $(CONTEXT),
  "n_ctx": $(CONTEXT),
  "activation_function": "gelu_new",
  "layer_norm_epsilon": 1e-05,
  "initializer_range": 0.02,
  "embd_pdrop": 0.1,
  "attn_pdrop": 0.1,
  "resid_pdrop": 0.1,
  "bos_token_id": $(eos),
  "eos_token_id": $(eos),
  "tie_word_embeddings": true
}
endef
export held vocab train config

# A directory is made anew as a whole, so its files may be as old as their sources: the stamp beside it says it is done.
$(OUT)/init.done: $(OUT)/config.txt $(OUT)/train.txt $(OUT)/tokenizer/tokenizer.json
	$(MODEL_INIT) -c $< -t $(OUT)/tokenizer -o $(OUT)/init --seed $(SEED)
	touch $@

$(OUT)/model.done: $(OUT)/init.done $(names:%=$(OUT)/tok/%.train.tok)
	$(STEP) -m $(OUT)/init -o $(OUT)/model $(train) --save-every 200 $(names:%=$(OUT)/tok/%.train.tok)
	touch $@

$(OUT)/rows.tsv: $(OUT)/model.done $(names:%=$(OUT)/tok/%.test.tok)
	$(EVAL) -m $(OUT)/model --name base --protocol disjoint $(foreach n,$(names),$(n)=$(OUT)/tok/$(n).test.tok) > $@.tmp
	mv $@.tmp $@

$(OUT)/vectors.tsv: $(names:%=$(OUT)/text/%.train.txt) $(OUT)/train.txt
	cat $(filter-out $(OUT)/train.txt,$^) > $(OUT)/text/all.txt
	$(EMBED) -m $(SBERT) -n 2000 --seed $(SEED) @base=$(OUT)/text/all.txt > $@.tmp
	rm $(OUT)/text/all.txt
	mv $@.tmp $@

publish: $(OUT)/rows.tsv $(OUT)/vectors.tsv
	@mkdir -p $(DEST)
	cp $(OUT)/model/config.json $(OUT)/model/model.safetensors $(OUT)/tokenizer/*.json $(DEST)/
	cp $(OUT)/rows.tsv $(OUT)/vectors.tsv $(DEST)/
	{ $(readme); } > $(DEST)/README.md.tmp
	mv $(DEST)/README.md.tmp $(DEST)/README.md

# The README's numbers come from the files themselves.
readme = \
	echo '\# The base model of the examples'; echo; \
	echo 'A GPT-2 of $(LAYERS) layers, width $(WIDTH), $(HEADS) heads, $(CONTEXT) positions and $(VOCAB) ids: GPT-2'"'"'s byte-level BPE, cut.'; \
	echo 'Its weights are kept in bfloat16. It is small on purpose: the demo trains it 45 times within minutes, and forgetting shows.'; echo; \
	echo 'Made by'; echo; \
	echo '    make -f pipelines/base.mk EPOCHS=$(EPOCHS) BATCH=$(BATCH) LR=$(LR) SEED=$(SEED)'; echo; \
	echo 'that is `cpt-step $(train)`'; \
	echo "on $$(cat $(names:%=$(OUT)/text/%.train.txt) | wc -c) bytes of WebText (OpenAI's released sample) and of Wikipedia (the 2007 Schools selection),"; \
	echo 'from 20 files; $(HELD) bytes of each were held out, and give these perplexities (`ppl-eval --protocol disjoint`):'; echo; \
	awk -F '\t' -v markdown=1 -f $(pipelines)/perplexity.awk $(OUT)/rows.tsv; echo; \
	echo 'SHA-256:'; echo; \
	(cd $(DEST) && sha256sum config.json model.safetensors tokenizer.json | sed 's/^/    /')
