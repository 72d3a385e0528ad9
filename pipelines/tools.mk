# The programs of the pipelines, each a variable. Included by the other make files here.
#
# They are those in BIN: in the source tree build/bin; installed, those on the path (PROGRAM_PREFIX as at `make install`).
# Anything that reads and writes the same formats can take a stage's place: ORDER_DOMAINS='python3 mine.py'.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

pipelines := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
$(if $(word 2,$(pipelines)),$(error palimpsest cannot be run at a path with blanks: $(CURDIR)))
BIN       ?= $(wildcard $(dir $(pipelines))build/bin)
program    = $(if $(BIN),$(BIN)/)$(PROGRAM_PREFIX)$(1)

SPLIT         ?= $(call program,m2d2-split)
TOKENIZE      ?= $(call program,tokenize)
EMBED         ?= $(call program,embed-domains)
ORDER_DOMAINS ?= $(call program,order-domains)
STEP          ?= $(call program,cpt-step)
EVAL          ?= $(call program,ppl-eval)
KEY_NGRAMS    ?= $(call program,key-ngrams)
BIGBENCH_EVAL ?= $(call program,bigbench-eval)
MATRIX        ?= $(call program,transfer-matrix)
TRANSFER_REPORT ?= $(call program,transfer-report)
MODEL_PACK    ?= $(call program,model-pack)
MODEL_MERGE   ?= $(call program,model-merge)
JOB_METER     ?= $(call program,job-meter)
STUDY_STATS   ?= $(call program,study-stats)
STUDY_REPORT  ?= $(call program,study-report)
MODEL_INIT    ?= $(call program,model-init)

# Orders of order-domains; another program has its own.
order_kinds := similar random given size reverse farthest interleave
own_orders   = $(filter-out $(call program,order-domains),$(ORDER_DOMAINS))

# The first two lines of a trace, palimpsest-study(5).
tab := $(shell printf '\t')
define trace_head
#palimpsest-trace 1$(tab)job.sh
stage$(tab)start$(tab)end$(tab)cpu_s$(tab)peak_kib$(tab)host$(tab)command_exit$(tab)energy_j$(tab)exit$(tab)sha256$(tab)target
endef

# The folder of an order of cpt.mk, such as similar-s2orc-wiki of similar:s2orc,wiki: make takes a comma for the end of an argument.
comma := ,
order_folder = $(subst $(comma),-,$(subst :,-,$(1)))
# walks_of ORDERS: those that go by domain vectors
walks_of = $(filter similar similar:% farthest farthest:%,$(1))

# same A B: are they the same text?
same = $(if $(subst x$(1)x,,x$(2)x),,1)

hash   := \#
bad    := ' " ` \ ; & | < > ( ) { } [ ] * ? ! ~ = $(hash) : % $$
unsafe  = $(strip $(foreach c,$(bad),$(findstring $(c),$(1))))
# is VALUE PATTERN: VALUE, if it matches as a whole
is = $(if $(call unsafe,$(1)),,$(shell echo '$(1)' | grep -xE '$(2)'))

# bytes SETTING: as a plain number
bytes_form := [1-9][0-9]*(k|Ki|[MG]i?)?
bytes = $(if $($(1)),$(or $(if $(call is,$($(1)),$(bytes_form)),$(shell numfmt --from=auto $(subst k,K,$($(1))))),\
	$(error $(1)=$($(1)): a number of bytes, perhaps with k, M or G)))

# The programs that results come from.
stages := SPLIT TOKENIZE EMBED ORDER_DOMAINS STEP EVAL KEY_NGRAMS BIGBENCH_EVAL MATRIX

# written TEXT: as it stands in a make file that gives it to a variable
written = $(subst $(hash),\$(hash),$(subst $$,$$$$,$(1)))
# holding FILE TEXT: FILE, which holds TEXT and is newer than what was made with another. With -n, or goals that only look
# (cpt.mk's watching), as it is.
dry     := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
holding = $(if $(dry)$(watching),$(wildcard $(1)),$(1)$(file >$(1).new,$(2))$(shell cmp -s $(1).new $(1) && rm $(1).new || mv $(1).new $(1)))

# only_known VARIABLES: ends a make whose command line gives another variable, a mistake that would else go unnoticed. A make within a make
# has the outer one's.
known_everywhere := BIN PROGRAM_PREFIX $(stages) TRANSFER_REPORT MODEL_PACK MODEL_MERGE JOB_METER STUDY_STATS STUDY_REPORT MODEL_INIT \
	ON_SPLIT ON_TOKENIZE ON_EMBED ON_ORDER ON_STEP ON_EVAL ON_MATRIX LABEL SHELL gnuplot
given_here = $(foreach v,$(.VARIABLES),$(if $(filter-out -*,$(v)),$(if $(findstring command line,$(origin $(v))),$(v))))
only_known = $(if $(filter 0,$(MAKELEVEL)),$(foreach v,$(filter-out $(known_everywhere) $(1),$(given_here)),\
	$(error $(v)=$($(v)): there is no such setting; the head of $(firstword $(MAKEFILE_LIST)) lists them)))
