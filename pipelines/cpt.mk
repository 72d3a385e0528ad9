# cpt.mk: a whole study of continual pretraining.
#
#	make -f pipelines/cpt.mk OUT=run/x MODEL=DIR DATA=DIR SBERT=DIR BASE_TEXT=FILE ORDER='similar random:1'
#	make -f pipelines/cpt.mk OUT=run/x            # goes on, with the settings it was begun with
#	make -f pipelines/cpt.mk OUT=run/x status     # or show
#
# Each checkpoint and each row of the matrix is one target: stop it as you like, start it again, and it makes what is
# missing. -j runs evaluations beside the training (and orders, and FT, beside each other) and gives the same files.
#
# What is studied; kept in OUT/settings.mk, and no other values are accepted for the same OUT once something has been made with them:
#   MODEL         the model to begin with, M0: a directory with config.json, model.safetensors and its tokenizer
#   DATA          domain texts and domains.tsv, as m2d2-split writes them
#   CORPUS        instead of DATA: files or folders for m2d2-split, with SPLIT_FLAGS
#   SBERT         Sentence-BERT for domain vectors, which ORDER=similar needs
#   EMBED_FLAGS   for embed-domains, such as -n 1000
#   EMBED_TOGETHER  domains that one embed-domains takes (default 1): more save starts of it, half a second each, but a group is
#                 one job, and begins anew if it is stopped
#   BASE_TEXT     a sample of the text that MODEL was trained on: `similar` begins at the domain nearest to it; or
#   BASE_VECTORS  a file with its vector, named @base; or
#   START         the domain where `similar` and `farthest` begin
#   PORTIONS      the sequence of portions for similar and farthest: all that the domains of DATA have
#   TRAIN_BYTES   no more training text than this for a domain (200k, 5M); TEST_BYTES likewise; from the file's head
#   STEP_FLAGS    for cpt-step, such as '--lr 5e-5 --epochs 1'; EVAL_FLAGS for ppl-eval
#   CHAIN_FLAGS   more for cpt-step along a sequence, not for FT, such as --keep-optimizer
#   POLICY        learning rate of each new domain: fresh (default: the schedule of STEP_FLAGS anew), continued (one straight
#                 line from LR to 0 over the whole sequence, every domain an equal part of it) or rewarmed (up from LR/10 to
#                 LR in a tenth of the steps, down to LR/10 along half a cosine: Gupta et al., arXiv 2308.04014)
#   LR            peak learning rate for the latter two; for fresh, STEP_FLAGS='--lr R'
#   SEED          of everything random (default 1)
#   THREADS       of a tool that computes (default: processors of this machine); the last bits depend on it.
#                 With -j N take as many threads less.
#   TOK_IN VECTORS_IN M0_IN FT_IN  another OUT in which tokens, vectors, M0's row, and FT's rows stand already, if they are
#                 the same there; study.mk makes use of it
# What is wanted of it; may differ from call to call (what is not given is as in the first call):
#   ORDER         words KIND, KIND:SEED or, for similar and farthest, KIND:PORTIONS (similar:s2orc,wiki): see
#                 order-domains(1); each gets a folder OUT/KIND, OUT/KIND-SEED ...; `given` takes the file GIVEN
#   FT            1 (default): also train MODEL on each domain alone; 0: not
#   KEEP          all (default): keep every checkpoint whole; what else, once it has been measured and gone on from (FT's: measured):
#                 last: only the last one of each order; none: not even that; bf16: the last one whole, the others as
#                 M1.bf16 ..., with their weights in bf16; delta: the others as M1.pack ..., their lossless difference to the
#                 one before (model-pack(1)): `make ... checkpoint M=ORDER/M5 TO=DIR` makes one again, bit for bit
#   CELLS         which domains are measured after each step: all (default), past (those trained by then) or ends (the one just
#                 trained; after the last step, all). Of M0 always all, of FT its own. More of them may be wanted later; checkpoints that
#                 KEEP let go must then be trained again, and make says what to remove for it.
#   SAMPLE        E: of each text as many windows as are needed to know log-perplexity to E nats, or its change against M0 to
#                 a quarter (ppl-eval(1), Sampling); of M0 all. Empty (default): all windows. It may become smaller, or empty, later.
#                 What CELLS and SAMPLE add is measured, and what is there is not measured again (ppl-eval --known), nor
#                 are checkpoints that several orders have in common.
#   REFERENCE     M0's table of single windows for SAMPLE, if it does not lie beside M0's row
#   Q             -q: no progress of single tools in this call
#   TITLE         of the report
#   TABLES_AT BIGBENCH_AT  see below
# What else is measured of checkpoints, by jobs of their own; fixed once something has been measured so, see palimpsest-study(5):
#   TABLES        'classes', 'ranks' or both: tables by class of token (ppl-eval --by-class) and of ranks (--rank), of M0 and of the
#                 last checkpoint on all domains, of each other on the domain it was just trained on. TABLES_AT=K: of each K-th,
#                 too, on all domains. TABLE_FLAGS: more for ppl-eval. Words are called frequent that are so in the training texts
#                 of all domains, of the first 1 MB of each
#   NGRAMS        file of n-grams for ranks; without it OUT/ngrams.tsv, which key-ngrams makes of the training texts with NGRAM_FLAGS
#   BIGBENCH      task files of BIG-bench, or folders of them, for bigbench-eval with BIGBENCH_FLAGS (such as '--max-examples 100'): of M0
#                 and of each BIGBENCH_AT-th checkpoint (1 if not given; 0: none but the last) and the last
#
# SPLIT= TOKENIZE= EMBED= ORDER_DOMAINS= STEP= EVAL= KEY_NGRAMS= BIGBENCH_EVAL= MATRIX= name the programs (tools.mk); one not given is the one
# that was given last. ON_SPLIT= ON_TOKENIZE= ON_EMBED= (key-ngrams, too) ON_ORDER= ON_STEP= ON_EVAL= (bigbench-eval, too) ON_MATRIX= say where they
# run, in this call: words put before the command, like 'ssh host2' or 'srun --gres=gpu:1'. The other place must see the same files
# under the same names; rows and tables come back on standard output. Commands hold no character that a shell would take for more
# than itself, so ssh may reparse them.
#
# OUT/.run/trace.tsv tells what each job took (palimpsest-study(5)); JOB_METER= (empty) leaves job-meter(1) away, where a
# host has none.
#
# BIN is the folder of the programs, if they are not in build/bin or on the path.
#
# In OUT: data/ text/ tok/ vectors/ vectors.tsv, rows/ (of M0 and FT), ft/, and for each order ORDER/order.tsv,
# ORDER/M1 ... (checkpoints; M1.done has the hash of its weights), ORDER/rows/, matrix/ORDER/ (tables); report.html. Of what
# else is measured, tables/ and bigbench/ (of M0), ORDER/tables/, ORDER/bigbench/, and in tables/ORDER/ what was found along ORDER.
# `make ... texts`, `vectors`, `ngrams`, `zero` (of M0), `alone` (FT's rows) and `matrices` make a part of it.
# `make ... status` tells how much is done, `show` prints what is known by now, `watch` draws it again as rows arrive.

include $(dir $(lastword $(MAKEFILE_LIST)))tools.mk

.DEFAULT_GOAL := all
.PHONY: all status show watch checkpoint texts vectors ngrams zero alone matrices

ifeq ($(OUT),)
$(error give OUT=DIR, the folder of the study)
endif
override OUT := $(abspath $(OUT))
run := $(OUT)/.run

# Two makes would take each other's checkpoints away: a second waits for the first, or for what a killed one has left running.
watching := $(filter status show watch checkpoint,$(MAKECMDGOALS))
ifeq ($(watching)$(MAKE_RESTARTS),)
$(shell alive() { { read -r p h < $(run)/make && [ $$h = $$(uname -n) ] && [ $$p != $$PPID ] && grep -q make /proc/$$p/comm; } 2>/dev/null; }; \
	! alive || echo "another make, process $$p, works on $(OUT): waiting for it" >&2; while alive; do sleep 0.2; done)
endif

# --- settings ---------------------------------------------------------------------------------

settings := MODEL DATA CORPUS SPLIT_FLAGS SBERT EMBED_FLAGS EMBED_TOGETHER BASE_TEXT BASE_VECTORS START PORTIONS TRAIN_BYTES \
            TEST_BYTES STEP_FLAGS CHAIN_FLAGS POLICY LR EVAL_FLAGS SEED THREADS TOK_IN VECTORS_IN M0_IN FT_IN
late     := TABLES TABLE_FLAGS NGRAMS NGRAM_FLAGS BIGBENCH BIGBENCH_FLAGS
wanted   := ORDER FT KEEP CELLS SAMPLE REFERENCE TABLES_AT BIGBENCH_AT GIVEN
paths    := OUT MODEL DATA CORPUS SBERT BASE_TEXT BASE_VECTORS TOK_IN VECTORS_IN M0_IN FT_IN NGRAMS BIGBENCH REFERENCE GIVEN

positive = $(if $(call is,$(1),([0-9]+\.?[0-9]*|\.[0-9]+)(e-?[0-9]+)?),$(if $(call is,$(1),[0.]+(e.*)?),,1))

$(call only_known,OUT $(wanted) Q TITLE M TO $(settings) $(late))
$(foreach v,$(filter-out OUT,$(paths)),$(if $($(v)),$(eval override $(v) := $$(abspath $$($(v))))))

-include $(OUT)/settings.mk
$(foreach v,$(settings) $(late),$(if $(filter undefined,$(origin $(v))),$(eval $(v) := $$(set.$(v)))))
$(foreach v,$(stages),$(if $(filter file,$(origin $(v))),$(if $(filter file,$(origin program.$(v))),$(eval $(v) := $$(program.$(v)))),\
	$(if $(dry)$(watching)$(call same,$($(v)),$(program.$(v))),,$(eval program.$(v) := $$($(v)))$(eval changed := 1))))
SEED    := $(or $(SEED),1)
THREADS := $(or $(THREADS),$(shell nproc))
# made SETTING: files in OUT that would not be what they are with another value of it; of most settings, all that there are
made.checkpoints := $(wildcard $(addprefix $(OUT)/,*/M*.done */M*.partial ft/*.done ft/*.partial))
made.rows        := $(wildcard $(addprefix $(OUT)/,rows/*.tsv tables/*.tsv */rows/*.tsv))
made.walks       := $(wildcard $(addprefix $(OUT)/,similar*/order.tsv farthest*/order.tsv))
made.vectors     := $(strip $(wildcard $(addprefix $(OUT)/,base.vectors.tsv vectors.tsv vectors/*.tsv \
	$(if $(filter sbert --method=sbert,$(set.NGRAM_FLAGS)),ngrams.tsv))) $(made.walks))
made.anything    := $(filter-out $(OUT)/settings.mk,$(wildcard $(OUT)/*))
made = $(made.$(or $(patsubst %,checkpoints,$(filter STEP_FLAGS CHAIN_FLAGS POLICY LR,$(1))),$(patsubst %,rows,$(filter EVAL_FLAGS,$(1))),\
	$(patsubst %,vectors,$(filter SBERT EMBED_FLAGS EMBED_TOGETHER BASE_TEXT BASE_VECTORS VECTORS_IN,$(1))),\
	$(patsubst %,walks,$(filter START PORTIONS,$(1))),anything))
$(foreach v,$(settings),$(if $(filter undefined,$(origin set.$(v))),,$(if $(call same,$($(v)),$(set.$(v))),,$(if $(call made,$(v)),\
	$(error $(OUT) was begun with $(v)='$(set.$(v))', not '$($(v))': take another OUT, or remove it),$(eval changed := 1)))))
made.TABLES := $(wildcard $(addprefix $(OUT)/,tables/*.tsv */tables/*.tsv))
made.TABLE_FLAGS := $(made.TABLES)
made.NGRAMS := $(filter %.ranks.tsv,$(made.TABLES))
made.NGRAM_FLAGS := $(wildcard $(OUT)/ngrams.tsv)
made.BIGBENCH := $(wildcard $(addprefix $(OUT)/,bigbench/*.tsv */bigbench/*.tsv))
made.BIGBENCH_FLAGS := $(made.BIGBENCH)
$(foreach v,$(late),$(if $($(v)),$(if $(call same,$($(v)),$(set.$(v))),,$(if $(made.$(v)),\
	$(error $(OUT) has been measured with $(v)='$(set.$(v))', not '$($(v))': take another OUT),$(eval set.$(v) := $$($(v)))$(eval changed := 1)))))

ORDER ?= $(or $(first.ORDER),similar)
FT    ?= $(or $(first.FT),1)
KEEP  ?= $(or $(first.KEEP),all)
TABLES_AT   ?= $(or $(first.TABLES_AT),0)
BIGBENCH_AT ?= $(or $(first.BIGBENCH_AT),1)
CELLS ?= $(or $(first.CELLS),all)
SAMPLE ?= $(first.SAMPLE)
REFERENCE ?= $(first.REFERENCE)
GIVEN ?= $(wildcard $(first.GIVEN))
Q     ?=
usual_title := What the model learned, kept and lost
TITLE ?= $(or $(first.TITLE),$(usual_title))

ifeq ($(MODEL),)
$(error give MODEL=DIR, the model to begin with)
endif
ifeq ($(DATA)$(CORPUS),)
$(error give DATA=DIR (domain texts) or CORPUS=FILE... (to be split))
endif
$(if $(DATA),$(if $(CORPUS),$(error DATA and CORPUS: give one of them)))
$(if $(BASE_TEXT),$(if $(BASE_VECTORS),$(error BASE_TEXT and BASE_VECTORS: give one of them)))
ifeq ($(wildcard $(MODEL)/config.json),)
$(error MODEL=$(MODEL): no config.json there)
endif
$(if $(own_orders),,$(foreach o,$(ORDER),$(if $(filter $(order_kinds),$(firstword $(subst :, ,$(o)))),,$(error ORDER=$(o): none of $(order_kinds)))))
walks := $(call walks_of,$(ORDER))
$(if $(SBERT)$(VECTORS_IN),,$(foreach o,$(walks),$(error ORDER=$(o) needs domain vectors: give SBERT=DIR)))
$(if $(BASE_TEXT)$(BASE_VECTORS)$(START)$(VECTORS_IN),,$(foreach o,$(walks),$(error ORDER=$(o) begins at the domain nearest to what MODEL \
was trained on: give BASE_TEXT=FILE, a sample of that text, or START=DOMAIN)))
$(if $(filter given,$(ORDER)),$(if $(GIVEN)$(wildcard $(OUT)/given/order.tsv),,\
	$(error ORDER=given needs GIVEN=FILE, the names of the domains in sequence)))
given := $(if $(filter given,$(ORDER)),$(GIVEN))
$(if $(given),$(if $(wildcard $(given))$(watching),,$(error GIVEN=$(GIVEN): there is no such file)))
train_bytes := $(call bytes,TRAIN_BYTES)
test_bytes  := $(call bytes,TEST_BYTES)
$(if $(filter fresh continued rewarmed,$(or $(POLICY),fresh)),,$(error POLICY=$(POLICY): fresh, continued or rewarmed))
$(if $(EMBED_TOGETHER),$(if $(call is,$(EMBED_TOGETHER),[1-9][0-9]{0$(comma)5}),,$(error EMBED_TOGETHER=$(EMBED_TOGETHER): a number from 1 on)))
$(if $(LR),$(if $(call positive,$(LR)),,$(error LR=$(LR): a learning rate)))
$(if $(filter continued rewarmed,$(POLICY))$(filter $(LR),$(STEP_FLAGS)),,$(if $(LR),$(error LR=$(LR) is for POLICY=continued or rewarmed: \
give STEP_FLAGS='--lr $(LR)')))
$(if $(filter continued rewarmed,$(POLICY)),$(if $(LR),,$(error POLICY=$(POLICY) needs LR, the peak learning rate)))
$(if $(filter 0 1,$(FT)),,$(error FT=$(FT): 0 or 1))
$(if $(filter all last none bf16 delta,$(KEEP)),,$(error KEEP=$(KEEP): all, last, none, bf16 or delta))
$(if $(filter all past ends,$(CELLS)),,$(error CELLS=$(CELLS): all, past or ends))
$(if $(SAMPLE),$(if $(call positive,$(SAMPLE)),,$(error SAMPLE=$(SAMPLE): a number of nats)))
$(if $(filter --by-class% --rank% --per-window%,$(EVAL_FLAGS)),$(error EVAL_FLAGS=$(EVAL_FLAGS): all rows would write one file; TABLES makes tables))
$(if $(SAMPLE),$(if $(filter --windows%,$(EVAL_FLAGS)),$(error EVAL_FLAGS=$(EVAL_FLAGS): not with SAMPLE)))
$(if $(filter-out classes ranks,$(TABLES)),$(error TABLES=$(TABLES): classes, ranks or both))
$(foreach v,TABLES_AT BIGBENCH_AT,$(if $(call is,$($(v)),[0-9]{1$(comma)6}),,$(error $(v)=$($(v)): a number)))

# A folder of BIG-bench is a task's, or has one folder for each task.
bigbench_tasks := $(foreach b,$(BIGBENCH),$(or $(filter %.json,$(b)),$(wildcard $(b)/task.json),$(sort $(wildcard $(b)/*/task.json)),\
	$(error BIGBENCH=$(b): no task.json there)))
# and of a group's folder the tasks in it
bigbench_files := $(bigbench_tasks) $(foreach t,$(bigbench_tasks),$(wildcard $(dir $(t))*/task.json))

# Names go through make, the shell and perhaps ssh's second shell unquoted, so some characters cannot be in them.
$(foreach v,$(paths),$(if $(call unsafe,$($(v))),$(error $(v)=$($(v)): cannot work with '$(call unsafe,$($(v)))' in a name)))
$(foreach v,$(filter-out CORPUS BIGBENCH,$(paths)),$(if $(word 2,$($(v))),$(error $(v)=$($(v)): cannot work with blanks in a name)))
$(if $(watching),,$(if $(DATA),$(if $(wildcard $(DATA)/domains.tsv),,$(error DATA=$(DATA): no domains.tsv there)))$(foreach v,CORPUS BASE_TEXT \
	BASE_VECTORS SBERT,$(foreach f,$($(v)),$(if $(wildcard $(f)),,$(error $(v)=$(f): there is no such file)))))

define newline


endef
gnuplot := $(shell command -v gnuplot)
$(shell mkdir -p $(run))
ifeq ($(wildcard $(run)/trace.tsv),)
$(file >$(run)/trace.tsv,$(trace_head))
endif
ifneq ($(if $(wildcard $(OUT)/settings.mk),$(changed),1),)
$(file >$(OUT)/settings.mk.new,$(subst $(newline) ,$(newline),$(foreach v,$(settings),set.$(v) := $($(v))$(newline))\
$(foreach v,$(late),$(if $(set.$(v)),set.$(v) := $(set.$(v))$(newline)))\
$(foreach v,$(wanted),first.$(v) := $(or $(first.$(v)),$($(v)))$(newline))\
$(foreach v,$(stages),$(if $(filter file,$(origin program.$(v))),program.$(v) := $(call written,$(program.$(v)))$(newline)))\
first.TITLE := $(call written,$(or $(first.TITLE),$(TITLE)))$(newline)))
$(shell rm -f $(OUT)/*/chain.mk)
$(shell mv $(OUT)/settings.mk.new $(OUT)/settings.mk)
endif
ifeq ($(watching)$(MAKE_RESTARTS),)
$(shell date +%s > $(run)/session; echo $$PPID $$(uname -n) > $(run)/make)
endif
export RUN := $(run)

data   := $(or $(DATA),$(OUT)/data)
tok_in := $(or $(TOK_IN),$(OUT))
vectors_in := $(or $(VECTORS_IN),$(OUT))
m0_in  := $(or $(M0_IN),$(OUT))
ft_in  := $(or $(FT_IN),$(OUT))
# What a job takes is measured where it runs, and left in a file that job.sh adds to the trace.
metered = $(run)/meter/$(subst /,-,$(@:$(OUT)/%=%))
meter   = $(if $(JOB_METER),$(JOB_METER) -o $(metered) --)
job     = sh $(pipelines)/job.sh $(if $(JOB_METER),-m $(metered))
thread := env OMP_NUM_THREADS=$(THREADS)
orders := $(call order_folder,$(ORDER))
reference := $(or $(REFERENCE),$(m0_in)/rows/M0.windows.tsv)
model  := $(MODEL)/config.json $(wildcard $(MODEL)/*.safetensors)

# --- domains ----------------------------------------------------------------------------------

# Folders of several files come whole, and without this file a tool would not know the folder for its own and replace it:
# make is not to delete it when it is interrupted.
.PRECIOUS: $(OUT)/data/domains.tsv $(orders:%=$(OUT)/matrix/%/matrix.tsv)

ifneq ($(CORPUS),)
$(OUT)/data/domains.tsv: $(CORPUS)
	@$(job) $@ 'splitting' $(ON_SPLIT) $(meter) $(SPLIT) $(Q) -o $(OUT)/data --seed $(SEED) $(SPLIT_FLAGS) $(CORPUS)
endif

# The list of domains, their sizes and the plan: make reads it, and begins anew when it has been made; to look on, nothing is made.
# `domains`, `train_size` (mean) and `test_size` (of all together; test_size.NAME of one)
ifeq ($(watching),)
$(OUT)/domains.mk: $(data)/domains.tsv $(pipelines)/domains.awk
	@awk -F '\t' -v data=$(data) -v train_bytes=$(train_bytes) -v test_bytes=$(test_bytes) -f $(pipelines)/domains.awk $< > $@.new
	@mv $@.new $@
include $(OUT)/domains.mk
else
-include $(OUT)/domains.mk
endif

test_tok := $(domains:%=$(tok_in)/tok/%.test.tok)
# of one row on the average, for the time left
row_size := $(if $(domains),$(shell echo $$(($(test_size)$(if $(filter past,$(CELLS)),/2)$(if $(filter ends,$(CELLS)),/$(words $(domains)))$(if $(SAMPLE),/4)))))

# Groups of domains that are embedded together, with colons between; each has a file, FIRST.tsv or, with N more, @FIRST+N.tsv.
embedded    := $(shell echo $(domains) | xargs -n $(or $(EMBED_TOGETHER),1) | tr ' ' :)
more_than_1  = $(if $(word 2,$(1)),+$(words $(wordlist 2,$(words $(1)),$(1))))
vector_file  = $(vectors_in)/vectors/$(if $(word 2,$(1)),@)$(firstword $(1))$(call more_than_1,$(1)).tsv
vector_files = $(foreach g,$(embedded),$(call vector_file,$(subst :, ,$(g))))

# The steps after which all domains have tables, and those after which BIG-bench is done: each K-th and the last.
each_and_last = $(filter $(if $(filter-out 0,$(1)),$(shell seq $(1) $(1) $(words $(domains)))) $(words $(domains)),$(steps))
tables_at   := $(if $(TABLES),$(call each_and_last,$(TABLES_AT)))
bigbench_at := $(if $(BIGBENCH),$(call each_and_last,$(BIGBENCH_AT)))

$(if $(domains),$(file >$(run)/plan,\
$(if $(VECTORS_IN),,$(if $(SBERT),$(foreach v,$(vector_files),vector 0 $(v)$(newline))))\
$(if $(TOK_IN),,$(foreach d,$(domains),token 0 $(tok_in)/tok/$(d).train.tok$(newline)token 0 $(tok_in)/tok/$(d).test.tok$(newline)))\
$(if $(M0_IN),,eval $(test_size) $(m0_in)/rows/M0.tsv$(newline))\
$(if $(filter 1,$(if $(FT_IN),0,$(FT))),$(foreach d,$(domains),\
train $(train_size) $(ft_in)/ft/$(d).done$(newline)eval $(test_size.$(d)) $(ft_in)/rows/FT-$(d).tsv$(newline)))\
$(foreach o,$(orders),$(foreach k,$(steps),\
train $(train_size) $(OUT)/$(o)/M$(k).done$(newline)eval $(row_size) $(OUT)/$(o)/rows/M$(k).tsv$(newline)))\
$(if $(M0_IN),,$(if $(TABLES),eval $(test_size) $(m0_in)/tables/M0.tsv$(newline))$(if $(BIGBENCH),eval 0 $(m0_in)/bigbench/M0.tsv$(newline)))\
$(if $(TABLES),$(foreach o,$(orders),$(foreach k,$(steps),eval $(if $(filter $(k),$(tables_at)),$(test_size),0) $(OUT)/$(o)/tables/M$(k).tsv$(newline))))\
$(foreach o,$(orders),$(foreach k,$(bigbench_at),eval 0 $(OUT)/$(o)/bigbench/M$(k).tsv$(newline)))\
$(foreach o,$(orders),matrix 0 $(OUT)/matrix/$(o)/matrix.tsv$(newline))$(if $(gnuplot),report 0 $(OUT)/report.html)))

# --- text and tokens --------------------------------------------------------------------------

ifeq ($(TOK_IN),)
.PRECIOUS: $(tok_in)/text/%.train.txt $(tok_in)/text/%.test.txt

# What the frequency of words is counted in: the heads of all training texts, whole lines.
$(tok_in)/text/@counts.txt: $(domains:%=$(data)/%/train.txt)
	@mkdir -p $(@D) && LC_ALL=C awk 'FNR == 1 { n = 0 } (n += length() + 1) > 1000000 { nextfile } { print }' $^ > $@.new && mv $@.new $@
$(tok_in)/counts.tok: $(tok_in)/text/@counts.txt $(model)
	@$(job) $@ 'tokenizing what words are counted in' $(ON_TOKENIZE) $(meter) $(TOKENIZE) $(Q) -t $(MODEL) -o $@ $<

# cut: whole lines from the head of a text; if the first alone is too long, whole words of it
cut = @mkdir -p $(@D) && LC_ALL=C awk -v max=$(1) '(n += length() + 1) <= max { print; next } \
	NR == 1 { $$0 = substr($$0, 1, max - 1); sub(/ [^ ]*$$/, ""); print } { exit }' $< > $@.new && mv $@.new $@
ifneq ($(train_bytes),)
$(tok_in)/text/%.train.txt: $(data)/%/train.txt
	$(call cut,$(train_bytes))
$(tok_in)/tok/%.train.tok: $(tok_in)/text/%.train.txt $(model)
	@$(job) $@ 'tokenizing $*, training text' $(ON_TOKENIZE) $(meter) $(TOKENIZE) $(Q) -t $(MODEL) -o $@ $<
else
$(tok_in)/tok/%.train.tok: $(data)/%/train.txt $(model)
	@$(job) $@ 'tokenizing $*, training text' $(ON_TOKENIZE) $(meter) $(TOKENIZE) $(Q) -t $(MODEL) -o $@ $<
endif
ifneq ($(test_bytes),)
$(tok_in)/text/%.test.txt: $(data)/%/test.txt
	$(call cut,$(test_bytes))
$(tok_in)/tok/%.test.tok: $(tok_in)/text/%.test.txt $(model)
	@$(job) $@ 'tokenizing $*, test text' $(ON_TOKENIZE) $(meter) $(TOKENIZE) $(Q) -t $(MODEL) -o $@ $<
else
$(tok_in)/tok/%.test.tok: $(data)/%/test.txt $(model)
	@$(job) $@ 'tokenizing $*, test text' $(ON_TOKENIZE) $(meter) $(TOKENIZE) $(Q) -t $(MODEL) -o $@ $<
endif
endif

# --- order ------------------------------------------------------------------------------------

ifeq ($(VECTORS_IN),)
# embed DOMAINS
define embed
$(call vector_file,$(1)): $(1:%=$(data)/%/train.txt)
	@$$(job) -c $$@ 'embedding $(1)' $(ON_EMBED) $$(meter) $(thread) $(EMBED) $(Q) -m $(SBERT) --seed $(SEED) $(EMBED_FLAGS) \
		$(foreach d,$(1),$(d)=$(data)/$(d)/train.txt)
endef
$(foreach g,$(embedded),$(eval $(call embed,$(subst :, ,$(g)))))
$(vectors_in)/base.vectors.tsv: $(BASE_TEXT)
	@$(job) -c $@ 'embedding the base text' $(ON_EMBED) $(meter) $(thread) $(EMBED) $(Q) -m $(SBERT) --seed $(SEED) $(EMBED_FLAGS) \
		$(BASE_TEXT:%=@base=%)
$(vectors_in)/vectors.tsv: $(BASE_VECTORS) $(if $(BASE_TEXT),$(vectors_in)/base.vectors.tsv) $(vector_files)
	@cat $^ > $@.new && mv $@.new $@
endif

vectors := $(if $(SBERT)$(VECTORS_IN),$(vectors_in)/vectors.tsv)

$(OUT)/ngrams.tsv: $(data)/domains.tsv
	@$(job) -c $@ 'looking for key n-grams' $(ON_EMBED) $(meter) $(thread) $(KEY_NGRAMS) $(Q) --seed $(SEED) \
		$(if $(filter sbert --method=sbert,$(NGRAM_FLAGS)),$(addprefix -m ,$(SBERT))) $(NGRAM_FLAGS) $(foreach d,$(domains),$(d)=$(data)/$(d)/train.txt)

# Other vectors, or another file GIVEN, make another order, however old they are.
ordered_by := $(vectors) $(if $(vectors),$(call holding,$(run)/vectors,$(vectors)))
given_now  := $(if $(given),$(call holding,$(run)/given,$(file <$(given))))

# order NAME KIND SEED-OR-PORTIONS
define order
$(OUT)/$(1)/order.tsv: $(data)/domains.tsv $(ordered_by) $(if $(filter given,$(2)),$(given_now))
	@$$(job) -c $$@ '$(1): ordering the domains' $(ON_ORDER) $$(meter) $(ORDER_DOMAINS) --order $(2) \
		$(if $(filter similar farthest,$(2)),$(addprefix --portions ,$(or $(3),$(PORTIONS))) $(addprefix --start ,$(START)),--seed $(or $(3),$(SEED))) \
		$(addprefix --vectors ,$(vectors)) $(if $(filter given,$(2)),--given $(GIVEN)) $(data)/domains.tsv
$(OUT)/$(1)/chain.mk: $(OUT)/$(1)/order.tsv $(OUT)/domains.mk $(pipelines)/chain.awk
	@mkdir -p $(run)/chain/$(1)
	@awk -F '\t' -v order=$(1) -v domains="$$$$(sed -n 's/^domains := *//p' $(OUT)/domains.mk)" -v steps=$(run)/chain/$(1) -v policy=$(or $(POLICY),fresh) -v lr='$(LR)' -f $(pipelines)/chain.awk $$< > $$@.new && mv $$@.new $$@
endef
$(foreach o,$(ORDER),$(eval $(call order,$(call order_folder,$(o)),$(firstword $(subst :, ,$(o))),$(word 2,$(subst :, ,$(o))))))

# --- training and evaluation ------------------------------------------------------------------

step_command = $(ON_STEP) $(meter) $(thread) $(STEP) $(Q) --seed $(SEED) $(STEP_FLAGS)
eval_command = $(ON_EVAL) $(meter) $(thread) $(EVAL) $(Q) $(EVAL_FLAGS)
tests        = $(foreach d,$(1),$(d)=$(tok_in)/tok/$(d).test.tok)
# cells ORDER K CELLS: domains to be measured after step K; chain.ORDER has them in their sequence
cells        = $(if $(filter all,$(3)),$(domains),$(if $(filter past,$(3)),$(wordlist 1,$(2),$(chain.$(1))),$(word $(2),$(chain.$(1)))))
# drop FILES DIR FROM NEXT [CONDITION &&]: DIR goes as KEEP says (retire.sh) when all FILES are there and were made of it as it is
drop         = $(if $(filter all,$(KEEP)),,@if $(foreach f,$(1),[ -e $(f) ] && [ ! $(2).done -nt $(f) ] &&) $(5) :; then $(retire) $(2) $(3) $(4); fi)
# measured ORDER K: all that is wanted of a checkpoint
measured     = $(OUT)/$(1)/rows/M$(2).tsv $(if $(TABLES),$(OUT)/$(1)/tables/M$(2).tsv) $(if $(filter $(2),$(bigbench_at)),$(OUT)/$(1)/bigbench/M$(2).tsv)
# done_with ORDER K K-1 NEXT: when it has been measured and, unless it is the last, gone on from, it goes
done_with    = $(if $(4),$(call drop,$(call measured,$(1),$(2)) $(OUT)/$(1)/M$(4).done,$(OUT)/$(1)/M$(2),$(call checkpoint,$(1),$(3)),$(if \
	$(filter $(words $(domains)),$(4)),,$(OUT)/$(1)/M$(4)),$(call extended,$(1),$(2),$(4))),$(if $(filter none,$(KEEP)),$(call \
	drop,$(call measured,$(1),$(2)),$(OUT)/$(1)/M$(2),-,,$(call extended,$(1),$(2)))))
retire_alone = $(if $(FT_IN),,@for d in $(domains); do [ ! -d $(ft_in)/ft/$$d ] || $(retire) $(ft_in)/ft/$$d $(MODEL) || exit; done)
retire       = PACK='$(MODEL_PACK)' MERGE='$(MODEL_MERGE)' sh $(pipelines)/retire.sh $(KEEP)
# checkpoint ORDER K: its folder; M0 is MODEL
checkpoint   = $(if $(filter 0,$(2)),$(MODEL),$(OUT)/$(1)/M$(2))
minus        = $(words $(wordlist 2,$(1),$(steps)))
# there FOLDER [K]: FOLDER, or FOLDER/MK; if it has been retired, which steps are to be made again
there        = @k='$(2)' again=; while [ ! -d $(1)$$$${k:+/M$$$$k} ] && [ "$$$$k" != 0 ]; do again="$(1)$$$${k:+/M$$$$k}.done$$$${again:+ $$$$again}"; \
	k=$$$$(($$$${k:-1} - 1)); done; [ -z "$$$$again" ] || { echo "$(1)$(if $(2),/M$(2)) is needed again but was not kept: to train it again, rm $$$$again (make -k names all)" >&2; exit 1; }

ngrams           = $(if $(filter ranks,$(TABLES)),$(or $(NGRAMS),$(OUT)/ngrams.tsv))
counts           = $(if $(filter classes,$(TABLES)),$(tok_in)/counts.tok)
# Beside its rows, the target, it writes the tables named after it.
tables_command   = $(eval_command) $(TABLE_FLAGS) $(if $(counts),--by-class $(basename $@).classes.tsv --counts $(counts)) \
	$(if $(ngrams),--rank $(basename $@).ranks.tsv --ngrams $(ngrams))
bigbench_command = $(ON_EVAL) $(meter) $(thread) $(BIGBENCH_EVAL) $(Q) $(BIGBENCH_FLAGS)
# What a killed one of the former left.
clean_tables     = @rm -f $(basename $@).*.tsv.tmp.*

ifeq ($(M0_IN),)
$(m0_in)/rows/M0.tsv: $(model) $(test_tok) $(if $(SAMPLE),$(if $(wildcard $(m0_in)/rows/M0.windows.tsv),,FORCE)) \
		| $(if $(TABLES),$(m0_in)/tables/M0.tsv)
	@$(job) -c $@ 'M0: evaluating' $(eval_command) -m $(MODEL) --name M0 \
		$(if $(SAMPLE),--per-window $(m0_in)/rows/M0.windows.tsv,$(if $(TABLES),--known $(m0_in)/tables/M0.tsv)) $(call tests,$(domains))
	$(if $(SAMPLE),@rm -f $(m0_in)/rows/M0.windows.tsv.tmp.*)
# which comes with it, and before it
$(m0_in)/rows/M0.windows.tsv: $(m0_in)/rows/M0.tsv
	@:
$(m0_in)/tables/M0.tsv: $(model) $(test_tok) $(counts) $(ngrams)
	@$(job) -c $@ 'M0: tables of tokens' $(tables_command) -m $(MODEL) --name M0 $(call tests,$(domains))
	$(clean_tables)
$(m0_in)/bigbench/M0.tsv: $(model) $(bigbench_files)
	@$(job) -c $@ 'M0: BIG-bench' $(bigbench_command) -m $(MODEL) --name M0 $(bigbench_tasks)
endif
FORCE:

# What a row holds is noted where it is less than everything, "CELLS SAMPLE" in .run/noted; more.ROW: what it is to hold
# instead, where that is more, with a comma.
note       = $(run)/noted/$(1)
$(foreach w,$(shell cd $(run)/noted 2>/dev/null && awk -v cells=$(CELLS) -v sample=$(SAMPLE) '\
	BEGIN { rank["ends"] = 1; rank["past"] = 2; rank["all"] = 3 } \
	{ c = rank[cells] > rank[$$1] ? cells : $$1; e = sample + 0 < $$2 + 0 ? sample : $$2 } \
	c != $$1 || e != $$2 { print FILENAME ":=" c "," e }' * 2>/dev/null),$(eval more.$(w)))
cells_of   = $(or $(firstword $(subst $(comma), ,$(more.$(1)))),$(CELLS))
sample_of  = $(if $(more.$(1)),$(word 2,$(subst $(comma), ,$(more.$(1)))),$(SAMPLE))
# note_text ROW CELLS: what is to be noted
note_text  = $(if $(filter-out all,$(2))$(call sample_of,$(1)),$(2) $(call sample_of,$(1)))
# noted ROW CELLS, shell commands; one of these is before the row is made, the other when it is there
noted      = $(if $(note_text),mkdir -p $(run)/noted && echo '$(note_text)' > $(call note,$(1)),rm -f $(call note,$(1)))
noted_first = $(if $(more.$(1)),,@$(noted))
noted_last  = $(if $(more.$(1)),@$(noted))
# extended ORDER K NEXT: a condition of the shell, with &&: what was to be added to the row and the tables of a checkpoint is there
extended   = $(if $(more.$(1)-M$(2)),[ "$$$$(cat $(call note,$(1)-M$(2)) 2>/dev/null)" = \
	'$(call note_text,$(1)-M$(2),$(call row_cells,$(1)-M$(2),$(3)))' ] &&) $(if $(filter $(1)/tables/M$(2).tsv,$(tables_more)),! $(call \
	is_short,$(OUT)/$(1)/tables/M$(2).tsv) &&)
sampled    = $(if $(call sample_of,$(1)),--reference $(reference) --until $(call sample_of,$(1)))
# is_short TABLES, of the shell: they are not of all domains. tables_more: those of which all are wanted by now, ORDER/tables/MK.tsv
is_short   = awk '!/^\#/ { n++ } END { exit n > $(words $(domains)) }' $(1)
tables_more := $(foreach o,$(orders),$(foreach k,$(filter-out $(words $(domains)),$(tables_at)),$(if $(wildcard $(OUT)/$(o)/tables/M$(k).tsv),$(if \
	$(shell $(call is_short,$(OUT)/$(o)/tables/M$(k).tsv) && echo 1),$(o)/tables/M$(k).tsv))))
# tables_of ORDER K: whose rows are those of some domains
tables_of  = $(if $(TABLES),$(OUT)/$(1)/tables/M$(2).tsv)
# what a row in ORDER says already, and of the first step's those that began alike
known      = $(addprefix --known ,$(wildcard $@) $(if $(filter M1.tsv,$(@F)),$(filter-out $@,$(shell ls $(call rows_of,$(call alike,$(1))) 2>/dev/null))))
alike      = $(shell for d in $(OUT)/$(1)/M1.done $(OUT)/*/M1.done $(ft_in)/ft/$(firstword $(chain.$(1))).done; do \
	if cmp -s $(OUT)/$(1)/M1.done $$d; then echo $$d; fi; done)
rows_of    = $(patsubst $(OUT)/%/M1.done,$(OUT)/%/rows/M1.tsv,$(patsubst $(ft_in)/ft/%.done,$(ft_in)/rows/FT-%.tsv,$(1)))
# row_cells ROW NEXT: CELLS for it; after the last step, when NEXT is empty, all
row_cells  = $(if $(2),$(call cells_of,$(1)),all)

# step ORDER K DOMAIN K-1 NEXT FLAGS, NEXT empty after the last: called by ORDER/chain.mk. Its files are precious because the job has
# made them whole when a recipe is interrupted in what comes after the job; .run/chain/ORDER/K changes when DOMAIN does.
define step
.PRECIOUS: $(OUT)/$(1)/M$(2).done $(call measured,$(1),$(2))
$(OUT)/$(1)/M$(2).done: $(run)/chain/$(1)/$(2) $(tok_in)/tok/$(3).train.tok $(if $(filter 0,$(4)),$(model),$(OUT)/$(1)/M$(4).done)
	$(if $(filter 0,$(4)),,$(call there,$(OUT)/$(1),$(4)))
	@$$(job) -d $(OUT)/$(1)/M$(2) $$@ '$(1) M$(2): training on $(3)' $$(step_command) \
		-m $(if $(filter 0,$(4)),$(MODEL),$(OUT)/$(1)/M$(4)) -o $(OUT)/$(1)/M$(2) $(CHAIN_FLAGS) $(6) $(tok_in)/tok/$(3).train.tok
	$(if $(filter 0,$(4)),,$(call done_with,$(1),$(4),$(call minus,$(4)),$(2)))
$(OUT)/$(1)/rows/M$(2).tsv: $(OUT)/$(1)/M$(2).done $(test_tok) $(if $(more.$(1)-M$(2)),FORCE) | $(if $(SAMPLE),$(reference)) $(call tables_of,$(1),$(2))
	$(call there,$(OUT)/$(1),$(2))
	$(call noted_first,$(1)-M$(2),$(call row_cells,$(1)-M$(2),$(5)))
	@$$(job) $(if $(more.$(1)-M$(2)),-a) -c $$@ '$(1) M$(2): evaluating' $$(eval_command) -m $(OUT)/$(1)/M$(2) --name M$(2) $(call sampled,$(1)-M$(2)) \
		$$(call known,$(1)) $(addprefix --known ,$(call tables_of,$(1),$(2))) $$(call tests,$$(call cells,$(1),$(2),$(call row_cells,$(1)-M$(2),$(5))))
	$(call noted_last,$(1)-M$(2),$(call row_cells,$(1)-M$(2),$(5)))
	$(call done_with,$(1),$(2),$(4),$(5))
$(OUT)/$(1)/tables/M$(2).tsv: $(OUT)/$(1)/M$(2).done $(test_tok) $(counts) $(ngrams) $(if $(filter $(1)/tables/M$(2).tsv,$(tables_more)),FORCE)
	$(call there,$(OUT)/$(1),$(2))
	@$$(job) $(if $(filter $(2),$(tables_at)),-a) -c $$@ '$(1) M$(2): tables of tokens' $$(tables_command) -m $(OUT)/$(1)/M$(2) --name M$(2) \
		$$(call tests,$(if $(filter $(2),$(tables_at)),$(domains),$(3)))
	$$(clean_tables)
	$(call done_with,$(1),$(2),$(4),$(5))
$(OUT)/$(1)/bigbench/M$(2).tsv: $(OUT)/$(1)/M$(2).done $(bigbench_files)
	$(call there,$(OUT)/$(1),$(2))
	@$$(job) -c $$@ '$(1) M$(2): BIG-bench' $$(bigbench_command) -m $(OUT)/$(1)/M$(2) --name M$(2) $(bigbench_tasks)
	$(call done_with,$(1),$(2),$(4),$(5))
endef

# ft DOMAIN
define ft
.PRECIOUS: $(ft_in)/ft/$(1).done $(ft_in)/rows/FT-$(1).tsv
$(ft_in)/ft/$(1).done: $(tok_in)/tok/$(1).train.tok $(model)
	@$$(job) -d $(ft_in)/ft/$(1) $$@ 'FT: training on $(1) alone' $$(step_command) -m $(MODEL) -o $(ft_in)/ft/$(1) $$<
$(ft_in)/rows/FT-$(1).tsv: $(ft_in)/ft/$(1).done $(tok_in)/tok/$(1).test.tok $(if $(more.FT-$(1)),FORCE) | $(if $(SAMPLE),$(reference))
	$(call there,$(ft_in)/ft/$(1))
	$(call noted_first,FT-$(1),all)
	@$$(job) $(if $(more.FT-$(1)),-a) -c $$@ 'FT: evaluating on $(1)' $$(eval_command) -m $(ft_in)/ft/$(1) --name FT:$(1) $(call sampled,FT-$(1)) \
		$$(addprefix --known ,$$(wildcard $$@)) $$(call tests,$(1))
	$(call noted_last,FT-$(1),all)
	$(call drop,$$@,$(ft_in)/ft/$(1),$(MODEL))
endef
$(if $(FT_IN),,$(foreach d,$(domains),$(eval $(call ft,$(d)))))

ifneq ($(domains),)
ifeq ($(watching),)
include $(orders:%=$(OUT)/%/chain.mk)
endif
endif

# --- report -----------------------------------------------------------------------------------

rows = $(m0_in)/rows/M0.tsv $(steps:%=$(OUT)/$(1)/rows/M%.tsv) $(if $(filter 1,$(FT)),$(domains:%=$(ft_in)/rows/FT-%.tsv))

# matrix ORDER
define matrix
$(OUT)/matrix/$(1)/matrix.tsv: $(OUT)/$(1)/order.tsv $(call rows,$(1))
	@$$(job) $$@ '$(1): matrix' $(ON_MATRIX) $$(meter) $(MATRIX) --name $(1) --order $$< -o $$(@D) $$(filter-out $$<,$$^)
endef
$(foreach o,$(orders),$(eval $(call matrix,$(o))))

# along ORDER: what else was measured along it, a file for each kind
define along
$(OUT)/tables/$(1)/classes.tsv $(OUT)/tables/$(1)/ranks.tsv: $(OUT)/tables/$(1)/%.tsv: $(m0_in)/tables/M0.tsv $(steps:%=$(OUT)/$(1)/tables/M%.tsv)
	@mkdir -p $$(@D) && cat $$(^:.tsv=.$$*.tsv) > $$@.new && mv $$@.new $$@
$(OUT)/tables/$(1)/bigbench.tsv: $(m0_in)/bigbench/M0.tsv $(bigbench_at:%=$(OUT)/$(1)/bigbench/M%.tsv)
	@mkdir -p $$(@D) && cat $$^ > $$@.new && mv $$@.new $$@
endef
$(foreach o,$(orders),$(eval $(call along,$(o))))
along := $(foreach o,$(orders),$(patsubst %,$(OUT)/tables/$(o)/%.tsv,$(TABLES) $(if $(BIGBENCH),bigbench)))

# The page is about all orders that there are by now.
matrices := $(sort $(orders:%=$(OUT)/matrix/%/matrix.tsv) $(wildcard $(OUT)/matrix/*/matrix.tsv))
$(OUT)/report.html: $(matrices) $(call holding,$(run)/title,$(TITLE))
	@$(job) -c $@ 'report' $(meter) env TRANSFER_REPORT='$(TRANSFER_REPORT)' sh $(pipelines)/report.sh -t '$(subst ','\'',$(TITLE))' $(matrices:%/matrix.tsv=%)

# Each checkpoint is wholly measured before the next one is made, unless -j lets both run. Then, what a killed run may have
# left: checkpoints that were to go.
matrices: $(if $(orders),$(m0_in)/rows/M0.tsv) $(foreach o,$(orders),$(foreach k,$(steps),$(call measured,$(o),$(k)))) \
	$(orders:%=$(OUT)/matrix/%/matrix.tsv) $(along)
ifneq ($(KEEP),all)
	@last=$(words $(domains)); for o in $(orders); do from=$(MODEL) k=1; while [ $$k -lt $$last ]; do \
		dir=$(OUT)/$$o/M$$k k=$$((k + 1)); next=$(OUT)/$$o/M$$k; [ $$k -lt $$last ] || next=; \
		[ ! -d $$dir ] && [ ! -d $$dir.retired ] || $(retire) $$dir $$from $$next || exit; from=$$dir; done; \
		$(if $(filter none,$(KEEP)),$(retire) $(OUT)/$$o/M$$last - || exit;) done
	$(retire_alone)
else
	@:
endif
checkpoint:
	@[ '$(call is,$(M),[^/]+/M[0-9]+)' ] && [ '$(TO)' ] || { echo 'give M=ORDER/M<step> and TO=DIR' >&2; exit 2; }
	@PACK='$(MODEL_PACK)' sh $(pipelines)/materialise.sh $(MODEL) $(OUT)/$(patsubst %/,%,$(dir $(M))) $(patsubst M%,%,$(notdir $(M))) $(TO)
texts: $(domains:%=$(tok_in)/tok/%.train.tok) $(test_tok) $(counts)
vectors: $(vectors_in)/vectors.tsv
ngrams: $(OUT)/ngrams.tsv
zero: $(m0_in)/rows/M0.tsv $(if $(TABLES),$(m0_in)/tables/M0.tsv) $(if $(BIGBENCH),$(m0_in)/bigbench/M0.tsv)
alone: $(domains:%=$(ft_in)/rows/FT-%.tsv)
ifneq ($(KEEP),all)
	$(retire_alone)
else
	@:
endif
texts vectors ngrams zero:
	@:

all: matrices $(if $(gnuplot),$(OUT)/report.html)
	@echo 'complete: $(OUT)/$(if $(gnuplot),report.html,matrix (gnuplot is missing: no report.html))'

# What is known, for the terminal: figures and heat map of each order, as far as they go.
show:
	@for o in $(orders); do echo; set -- $$(ls $(m0_in)/rows/M0.tsv $(ft_in)/rows/FT-*.tsv $(OUT)/$$o/rows/*.tsv 2>/dev/null); \
		if [ -e $(OUT)/$$o/order.tsv ] && [ $$# -gt 0 ]; then $(MATRIX) --partial --name $$o --order $(OUT)/$$o/order.tsv "$$@" || exit; \
		else echo "$$o: nothing has been measured yet"; fi; done

# The same, drawn again as rows arrive, of the first order.
watch:
	@for f in $(OUT)/$(firstword $(orders))/order.tsv $(m0_in)/rows/M0.tsv; do \
		[ -e $$f ] || echo "waiting for $$f" >&2; until [ -e $$f ]; do sleep 1; done; done; \
	exec $(MATRIX) --name $(firstword $(orders)) --order $(OUT)/$(firstword $(orders))/order.tsv --follow $(OUT)/$(firstword $(orders))/rows \
		$$(ls $(m0_in)/rows/M0.tsv $(ft_in)/rows/FT-*.tsv 2>/dev/null)

status:
	@[ -e $(run)/plan ] || { echo "$(OUT): nothing has been planned yet"; exit 0; }; \
	n=0 m=0; while read -r kind bytes file; do n=$$((n + 1)); [ ! -e "$$file" ] || m=$$((m + 1)); done < $(run)/plan; \
	echo "$(OUT): $$m of $$n done"
