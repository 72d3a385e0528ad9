# study.mk: a comparison of whole sequences: models x orders x seeds x ablations, and what they say about the paper's findings.
#
#	make -f pipelines/study.mk STUDY=examples/study/demo24.study OUT=run/demo24 -j2
#	make -f pipelines/study.mk STUDY=FILE OUT=DIR status    # what is done of each run
#	make -f pipelines/study.mk STUDY=FILE OUT=DIR plan      # what is to be trained and measured, before anything is
#	make -f pipelines/study.mk STUDY=FILE OUT=DIR partial   # the report, of the runs that are complete by now
#
# The study file says what is compared; it is described in palimpsest-study(5), and looks like this:
#
#	title   Twenty-four domains
#	corpus  demo24.jsonl
#	sbert   minilm
#	base-text openwebtext.txt
#	model   small ../base
#	model   large ../base-large
#	base    batch=4 lr=3e-4
#	vary    order similar random:1 random:2 random:3 similar:arxiv,wiki
#	vary    model small large x order similar random:1
#	vary    batch 4 16
#
# It is expanded to runs. Runs that differ in their order alone are one OUT of cpt.mk, OUT/runs/VARIANT, which does the work;
# what several of them need is made once: the split (OUT/data), domain vectors (OUT/vectors), tokens for each tokenizer
# (OUT/texts/...), the row of M0 for each model (OUT/zero/...) and FT for each way of training (OUT/alone/...; FT is
# trained with the base's seed and a fresh schedule). Killed or stopped at any moment, it goes on where it was; -j works as
# in cpt.mk; a second make makes nothing. Lines may be added to the study file: what is there stays. In OUT: runs.tsv (all
# runs and their settings), study/ (tables of study-stats), figures/ (SVG and PDF) and report.html, which opens from a file; cost.tsv and disk.tsv from the
# traces of all jobs (OUT/.../.run/trace.tsv).
#
# CORPUS, DATA, SBERT, BASE_TEXT, BASE_VECTORS, START, TABLES, NGRAMS, BIGBENCH  instead of the study file's lines
# THREADS KEEP CELLS SAMPLE Q, programs and ON_...  as in cpt.mk
# FT=0                                          no model trained on one domain alone

include $(dir $(lastword $(MAKEFILE_LIST)))tools.mk

$(call only_known,STUDY OUT CORPUS DATA SBERT BASE_TEXT BASE_VECTORS START TABLES NGRAMS BIGBENCH THREADS KEEP CELLS SAMPLE Q FT)

.DEFAULT_GOAL := all
.PHONY: all status plan partial vectors ngrams runs

ifeq ($(wildcard $(STUDY)),)
$(error give STUDY=FILE, a study file (palimpsest-study(5)); there is none named '$(STUDY)')
endif
OUT ?= run/$(basename $(notdir $(STUDY)))
override OUT := $(abspath $(OUT))
FT  ?= 1
Q   ?=
gnuplot := $(shell command -v gnuplot)

$(shell mkdir -p $(OUT)/.run)
ifeq ($(wildcard $(OUT)/.run/trace.tsv),)
$(file >$(OUT)/.run/trace.tsv,$(trace_head))
endif
# Another program's orders are its own, that of an earlier call, too.
kinds := $(if $(own_orders)$(shell grep -ls '^ *program.ORDER_DOMAINS' $(OUT)/runs/*/settings.mk),,$(order_kinds))
# At once, not by a rule: what is wrong below would else keep an older one, of a study file that has been mended since.
wrong := $(shell { awk -v runs=$(OUT)/runs.tsv.new -v folder=$(abspath $(dir $(STUDY))) -v bytes='$(bytes_form)' -v kinds='$(kinds)' -f $(pipelines)/study.awk $(STUDY) \
	> $(OUT)/study.d.mk.new && for f in $(OUT)/runs.tsv $(OUT)/study.d.mk; do cmp -s $$f.new $$f && rm $$f.new || mv $$f.new $$f; done; } 2>&1)
$(if $(filter-out 0,$(.SHELLSTATUS)),$(error $(wrong)))
include $(OUT)/study.d.mk

# --- what the runs share ------------------------------------------------------------------------

# of VARIABLE WORD: the variable, or else what the study file says; either VARIABLE WORD OTHER: the same of one of two that stand for each other
of = $(or $($(1)),$(study.$(2)))
either = $(abspath $(if $($(1)),$(if $($(3)),$(error $(1) and $(3): give one of them))$($(1)),$(if $($(3)),,$(study.$(2)))))
CORPUS_      := $(call either,CORPUS,corpus,DATA)
DATA_        := $(call either,DATA,data,CORPUS)
SBERT_       := $(abspath $(call of,SBERT,sbert))
BASE_TEXT_   := $(call either,BASE_TEXT,base-text,BASE_VECTORS)
BASE_VECTORS_ := $(call either,BASE_VECTORS,base-vectors,BASE_TEXT)
START_       := $(call of,START,start)
TABLES_      := $(call of,TABLES,tables)
NGRAMS_      := $(or $(abspath $(call of,NGRAMS,ngrams)),$(if $(filter ranks,$(TABLES_)),$(OUT)/ngrams/all/ngrams.tsv))
BIGBENCH_    := $(abspath $(call of,BIGBENCH,bigbench))
data   := $(or $(DATA_),$(OUT)/data)
KEEP_  := $(or $(KEEP),$(study.keep),last)
CELLS_ := $(or $(CELLS),$(study.cells),all)
SAMPLE_ := $(or $(SAMPLE),$(study.sample))
job    := env RUN=$(OUT)/.run sh $(pipelines)/job.sh

ifeq ($(variants),)
else ifeq ($(CORPUS_)$(DATA_),)
$(error $(STUDY): neither 'corpus' nor 'data': give CORPUS=FILE or DATA=DIR)
endif
walks := $(foreach v,$(variants),$(call walks_of,$(run.$(v).order)))
$(if $(SBERT_),,$(foreach o,$(walks),$(error $(STUDY): order $(o) needs domain vectors: 'sbert DIR')))
$(if $(BASE_TEXT_)$(BASE_VECTORS_)$(START_),,$(foreach o,$(walks),$(error $(STUDY): order $(o) begins at the domain nearest to what the \
model was trained on: 'base-text FILE', a sample of that text, or 'start DOMAIN')))

.PRECIOUS: $(OUT)/data/domains.tsv
ifeq ($(DATA_)$(if $(variants),,none),)
split_of  := $(CORPUS_) $(study.split) --seed $(base.seed)
split_was := $(if $(wildcard $(OUT)/data/domains.tsv),$(file <$(OUT)/.run/split),$(file >$(OUT)/.run/split,$(split_of)))
$(if $(split_was),$(if $(call same,$(split_was),$(split_of)),,$(error $(OUT)/data was split with '$(split_was)', not '$(split_of)': take another OUT)))
endif
ifeq ($(DATA_),)
$(OUT)/data/domains.tsv: $(CORPUS_)
	@$(job) $@ 'splitting' $(ON_SPLIT) $(SPLIT) $(Q) -o $(OUT)/data --seed $(base.seed) $(study.split) $(CORPUS_)
endif

# The training text of the smallest domain: what every domain has in balanced data.
smallest = $(shell awk -F '\t' '/^\#/ { next } !c { for (i = 1; i <= NF; i++) if ($$i == "train_bytes") c = i; next } \
	!min || $$c < min { min = $$c } END { print min + 0 }' $(data)/domains.tsv)
train_bytes = $(if $(filter yes,$(1)),$(call less,$(smallest),$(call bytes,study.train-bytes)),$(call bytes,study.train-bytes))
less = $(if $(2),$(shell echo $$(($(1) < $(2) ? $(1) : $(2)))),$(1))

# cpt PART NAME SETTINGS: cpt.mk in OUT/PART/NAME
cpt = +@$(MAKE) --no-print-directory -f $(pipelines)/cpt.mk OUT=$(OUT)/$(1)/$(2) DATA=$(data) \
	TEST_BYTES='$(call bytes,study.test-bytes)' EVAL_FLAGS='$(study.eval)' PORTIONS='$(study.portions)' KEEP=$(KEEP_) CELLS=$(CELLS_) SAMPLE=$(SAMPLE_) Q='$(Q)' \
	$(if $(THREADS),THREADS=$(THREADS)) LABEL='$(2): ' gnuplot= CORPUS= SBERT= BASE_TEXT= BASE_VECTORS= START= TABLES= NGRAMS= BIGBENCH=
# What is measured beside rows, for those parts that measure.
also = TABLES='$(TABLES_)' TABLES_AT=$(or $(study.tables-at),0) TABLE_FLAGS='$(study.table-flags)' NGRAMS=$(NGRAMS_) \
	BIGBENCH='$(BIGBENCH_)' BIGBENCH_AT=$(or $(study.bigbench-at),1) BIGBENCH_FLAGS='$(study.bigbench-flags)'

# any_model PART: for what needs none; another one, when a line of the study file comes before the others, would be refused
any_model = $(if $(wildcard $(OUT)/$(1)/all/settings.mk),,MODEL=$(model.$(firstword $(zeros))))

vectors: $(data)/domains.tsv
ifneq ($(SBERT_),)
	$(call cpt,vectors,all) $(call any_model,vectors) SBERT=$(SBERT_) EMBED_FLAGS='$(study.embed)' \
		BASE_TEXT='$(BASE_TEXT_)' BASE_VECTORS='$(BASE_VECTORS_)' SEED=$(base.seed) ORDER= FT=0 vectors
endif

ngrams: $(data)/domains.tsv
ifeq ($(NGRAMS_),$(OUT)/ngrams/all/ngrams.tsv)
	$(call cpt,ngrams,all) $(call any_model,ngrams) SBERT=$(SBERT_) NGRAM_FLAGS='$(study.ngram-flags)' SEED=$(base.seed) ORDER= FT=0 ngrams
endif

define texts_rule
.PHONY: texts.do.$(1)
texts.do.$(1): $(data)/domains.tsv
	$$(call cpt,texts,$(1)) MODEL=$$(model.$$(texts.$(1).model)) TRAIN_BYTES=$$(call train_bytes,$$(texts.$(1).balanced)) \
		TABLES='$(TABLES_)' SEED=$(base.seed) ORDER= FT=0 texts
endef
$(foreach t,$(texts),$(eval $(call texts_rule,$(t))))

# M0 stays on the texts that it has been measured on, though others may stand before them in the study file by now.
$(foreach m,$(zeros),$(eval zero.$(m).texts := $(or $(filter $(texts),\
	$(notdir $(shell sed -n 's/^set.TOK_IN := //p' $(OUT)/zero/$(m)/settings.mk 2>/dev/null))),$(zero.$(m).texts))))

define zero_rule
.PHONY: zero.do.$(1)
zero.do.$(1): texts.do.$$(zero.$(1).texts) ngrams
	$$(call cpt,zero,$(1)) MODEL=$$(model.$(1)) TOK_IN=$(OUT)/texts/$$(zero.$(1).texts) $$(also) SEED=$(base.seed) ORDER= FT=0 zero
endef
$(foreach m,$(zeros),$(eval $(call zero_rule,$(m))))

define alone_rule
.PHONY: alone.do.$(1)
alone.do.$(1): texts.do.$$(alone.$(1).texts) $(if $(SAMPLE_),zero.do.$$(alone.$(1).model))
	$$(call cpt,alone,$(1)) $(if $(SAMPLE_),REFERENCE=$(OUT)/zero/$$(alone.$(1).model)/rows/M0.windows.tsv) MODEL=$$(model.$$(alone.$(1).model)) TOK_IN=$(OUT)/texts/$$(alone.$(1).texts) SEED=$(base.seed) ORDER= \
		TRAIN_BYTES=$$(call train_bytes,$$(texts.$$(alone.$(1).texts).balanced)) STEP_FLAGS='$$(study.step) $$(alone.$(1).step)' alone
endef
$(if $(filter 1,$(FT)),$(foreach a,$(alones),$(eval $(call alone_rule,$(a)))))

# --- the runs -----------------------------------------------------------------------------------

# run VARIANT GOAL
run = $(call cpt,runs,$(1)) MODEL=$(model.$(run.$(1).model)) TOK_IN=$(OUT)/texts/$(run.$(1).texts) M0_IN=$(OUT)/zero/$(run.$(1).model) \
	FT_IN=$(OUT)/alone/$(run.$(1).alone) $(if $(SBERT_),VECTORS_IN=$(OUT)/vectors/all) TRAIN_BYTES=$(call train_bytes,$(texts.$(run.$(1).texts).balanced)) \
	STEP_FLAGS='$(study.step) $(run.$(1).step)' CHAIN_FLAGS='$(run.$(1).chain)' POLICY=$(run.$(1).policy) LR=$(run.$(1).lr) \
	START=$(START_) SEED=$(run.$(1).seed) ORDER='$(run.$(1).order)' FT=$(FT) GIVEN='$(study.given)' $(also) $(2)

define run_rule
.PHONY: run.do.$(1) status.$(1)
run.do.$(1): vectors texts.do.$$(run.$(1).texts) zero.do.$$(run.$(1).model) $(if $(filter 1,$(FT)),alone.do.$$(run.$(1).alone))
	$$(call run,$(1),matrices)
status.$(1):
	$$(call run,$(1),status)
endef
$(foreach v,$(variants),$(eval $(call run_rule,$(v))))

runs: $(variants:%=run.do.%)
status: $(patsubst %,status.%,$(foreach v,$(variants),$(if $(wildcard $(OUT)/runs/$(v)/domains.mk),$(v))))

# How much there is to do, in trainings and evaluations of the whole corpus.
plan:
	@awk -F '\t' '/^#/ { next } !n++ { next } { print "  " $$1; m[$$2] = 1 } END { for (i in m) k++; \
		print n - 1 " runs of " k " models; each trains on the corpus and measures all domains once for each of them" }' $(OUT)/runs.tsv
	@echo 'shared: $(words $(texts)) sets of tokens, $(words $(zeros)) rows of M0, $(if $(filter 1,$(FT)),$(words $(alones)),no) sets of FT models'

# --- report -------------------------------------------------------------------------------------

title    := $(or $(study.title),$(basename $(notdir $(STUDY))))
matrices := $(foreach v,$(variants),$(patsubst %,$(OUT)/runs/$(v)/matrix/%/matrix.tsv,$(call order_folder,$(run.$(v).order))))
along    := $(foreach v,$(variants),$(foreach o,$(call order_folder,$(run.$(v).order)),\
	$(patsubst %,$(OUT)/runs/$(v)/tables/$(o)/%.tsv,$(TABLES_) $(if $(BIGBENCH_),bigbench))))
# The bytes of each domain that are trained on.
sizes    := $(if $(call bytes,study.train-bytes),$(OUT)/.run/domains.tsv,$(data)/domains.tsv)
stats     = $(STUDY_STATS) --domains $(sizes) $(if $(SBERT_),--vectors $(OUT)/vectors/all/vectors.tsv)
page      = env STUDY_REPORT=$(STUDY_REPORT) sh $(pipelines)/study.sh

# What is newer than before is known when the runs are done.
$(matrices) $(along): runs
	@:
cut_sizes = @awk -F '\t' -v OFS='\t' -v most=$(call bytes,study.train-bytes) '/^\#/ { print; next } \
	!c { for (i = 1; i <= NF; i++) if ($$i == "train_bytes") c = i } c && $$c + 0 > most + 0 { $$c = most } { print }' $(data)/domains.tsv > $(1).new && mv $(1).new $(1)
$(OUT)/.run/domains.tsv: $(data)/domains.tsv
	$(call cut_sizes,$@)
$(OUT)/study/findings.tsv: $(OUT)/runs.tsv $(matrices) $(along) $(sizes)
	@$(job) $@ 'statistics' $(stats) -o $(@D) $<
$(OUT)/cost.tsv $(OUT)/disk.tsv: $(OUT)/%.tsv: $(OUT)/study/findings.tsv
	@sh $(pipelines)/$*.sh $(OUT) > $@.new && mv $@.new $@
$(OUT)/report.html: $(OUT)/study/findings.tsv $(OUT)/cost.tsv $(OUT)/disk.tsv $(call holding,$(OUT)/.run/title,$(title))
ifneq ($(gnuplot),)
	@$(job) $@ 'report' $(page) -o $@ -t '$(title)' -c $(OUT)/cost.tsv -d $(OUT)/disk.tsv $(OUT)/runs.tsv $(<D) $(OUT)/figures
else
	@$(job) $@ 'report' $(STUDY_REPORT) -o $@ --title '$(title)' --cost $(OUT)/cost.tsv --disk $(OUT)/disk.tsv $(OUT)/runs.tsv $(<D)
endif

all: $(OUT)/report.html
	@echo 'complete: $(OUT)/report.html'

partial:
	$(if $(call bytes,study.train-bytes),$(call cut_sizes,$(sizes)))
	@$(stats) --partial -o $(OUT)/partial $(OUT)/runs.tsv
ifneq ($(gnuplot),)
	@$(page) -o $(OUT)/partial.html -t '$(title)' $(OUT)/runs.tsv $(OUT)/partial $(OUT)/partial.figures
else
	@$(STUDY_REPORT) -o $(OUT)/partial.html --title '$(title)' $(OUT)/runs.tsv $(OUT)/partial
endif
	@echo 'of the runs that are complete: $(OUT)/partial.html'
