/*
 * A pattern becomes a program, which is run with backtracking, in the order of Python's preferences. A state
 * (instruction, place in the text) that has failed once would fail again, and is not tried again: without references,
 * what follows depends on the state alone.
 */
#include "pyregex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "text_class.h"

#define MAX_PROGRAM 20000
#define MAX_DEPTH 100
#define MAX_REPEAT 1000

enum op { OP_CHAR, OP_ANY, OP_SET, OP_SPLIT, OP_JUMP, OP_SAVE, OP_ASSERT, OP_MATCH };

/* kind: a range, or one of dDwWsS */
struct set_item {
	uint32_t first, last;
	char kind; /* 0: the range */
};

struct set {
	struct set_item *item;
	int n, cap;
	bool negated;
};

struct inst {
	enum op op;
	uint32_t c; /* OP_CHAR: the character; OP_ASSERT: one of ^$AZbB; OP_SAVE: 2 group + (0 start, 1 end); OP_SET: index */
	int to, other; /* OP_SPLIT: first choice, second; OP_JUMP: to */
};

struct pyregex {
	struct inst *inst;
	int n, cap;
	struct set *set;
	int n_sets, set_cap;
	int groups;
	bool ignore_case;
};

/* ---- parsing: a tree ---- */

enum node_kind { NODE_EMPTY, NODE_INST, NODE_CAT, NODE_ALT, NODE_REPEAT, NODE_GROUP };

struct node {
	enum node_kind kind;
	struct inst inst;
	struct node *a, *b;
	int min, max; /* NODE_REPEAT; max -1: no bound. NODE_GROUP: min is its number */
	bool lazy;
};

struct parser {
	const char *text, *p;
	const char *why;
	struct pyregex *r;
	struct node **made; /* all nodes, to be freed together */
	int n_made, made_cap;
	int depth;
};

static struct node *node(struct parser *s, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *n = xcalloc(1, sizeof *n);

	*n = (struct node){.kind = kind, .a = a, .b = b};
	GROW(s->made, s->n_made, s->made_cap);
	return s->made[s->n_made++] = n;
}

static struct node *fail(struct parser *s, const char *why)
{
	if (!s->why)
		s->why = why;
	return NULL;
}

static struct node *inst_node(struct parser *s, enum op op, uint32_t c)
{
	struct node *n = node(s, NODE_INST, NULL, NULL);

	n->inst = (struct inst){.op = op, .c = c};
	return n;
}

static uint32_t next_char(struct parser *s)
{
	uint32_t c = 0;
	int n = utf8_char((const unsigned char *)s->p, strlen(s->p), &c);

	if (n == 0) {
		fail(s, "no valid UTF-8");
		n = 1;
	}
	s->p += n;
	if (c >= 0x80 && s->r->ignore_case)
		fail(s, "(?i) with a character that is not ASCII");
	return c;
}

static int new_set(struct parser *s, bool negated)
{
	struct pyregex *r = s->r;

	GROW(r->set, r->n_sets, r->set_cap);
	r->set[r->n_sets] = (struct set){.negated = negated};
	return r->n_sets++;
}

static void add_item(struct parser *s, int set, uint32_t first, uint32_t last, char kind)
{
	struct set *t = &s->r->set[set];

	GROW(t->item, t->n, t->cap);
	t->item[t->n++] = (struct set_item){first, last, kind};
}

/* After a backslash. A class: *kind is its letter; else the character is returned. */
static uint32_t escape(struct parser *s, char *kind)
{
	static const char from[] = "ntrfva", to[] = "\n\t\r\f\v\a";
	const char *at;
	char c = *s->p;

	*kind = 0;
	if (c && strchr("dDwWsS", c)) {
		*kind = *s->p++;
		return 0;
	}
	if (c && (at = strchr(from, c))) {
		s->p++;
		return (unsigned char)to[at - from];
	}
	if (!c || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
		fail(s, "this escape is not supported");
		return 0;
	}
	return next_char(s);
}

static struct node *class(struct parser *s)
{
	bool negated = *s->p == '^';
	int set = new_set(s, negated);
	char kind;

	s->p += negated;
	for (bool first = true; first || *s->p != ']'; first = false) {
		uint32_t low, high;
		if (!*s->p)
			return fail(s, "a class that does not end");
		if (*s->p == '\\') {
			s->p++;
			if (*s->p == 'b') {
				s->p++;
				low = '\b';
				kind = 0;
			} else {
				low = escape(s, &kind);
			}
		} else {
			low = next_char(s);
			kind = 0;
		}
		if (s->why)
			return NULL;
		high = low;
		if (!kind && s->p[0] == '-' && s->p[1] && s->p[1] != ']') {
			s->p++;
			if (*s->p == '\\') {
				s->p++;
				high = escape(s, &kind);
				if (kind)
					return fail(s, "a range that ends in a class");
			} else {
				high = next_char(s);
			}
			if (high < low)
				return fail(s, "a range that runs backwards");
		}
		add_item(s, set, low, high, kind);
	}
	s->p++;
	return inst_node(s, OP_SET, (uint32_t)set);
}

static struct node *alternatives(struct parser *s);

static struct node *group(struct parser *s)
{
	struct node *inside, *g;
	int number = 0;

	if (s->p[0] == '?') {
		if (s->p[1] != ':')
			return fail(s, "this kind of group is not supported");
		s->p += 2;
	} else {
		number = ++s->r->groups;
	}
	if (++s->depth > MAX_DEPTH)
		return fail(s, "too many groups in each other");
	inside = alternatives(s);
	s->depth--;
	if (!inside)
		return NULL;
	if (*s->p != ')')
		return fail(s, "a group that does not end");
	s->p++;
	if (!number)
		return inside;
	g = node(s, NODE_GROUP, inside, NULL);
	g->min = number;
	return g;
}

static struct node *atom(struct parser *s)
{
	char c = *s->p, kind;

	switch (c) {
	case '(':
		s->p++;
		return group(s);
	case '[':
		s->p++;
		return class(s);
	case '.':
		s->p++;
		return inst_node(s, OP_ANY, 0);
	case '^':
	case '$':
		s->p++;
		return inst_node(s, OP_ASSERT, (uint32_t)c);
	case '*':
	case '+':
	case '?':
		return fail(s, "nothing to repeat");
	case '\\':
		s->p++;
		if (*s->p && strchr("AZbB", *s->p))
			return inst_node(s, OP_ASSERT, (uint32_t)*s->p++);
		uint32_t literal = escape(s, &kind);
		if (s->why)
			return NULL;
		if (kind) {
			int set = new_set(s, false);
			add_item(s, set, 0, 0, kind);
			return inst_node(s, OP_SET, (uint32_t)set);
		}
		return inst_node(s, OP_CHAR, literal);
	default:
		break;
	}
	uint32_t literal = next_char(s);
	return s->why ? NULL : inst_node(s, OP_CHAR, literal);
}

static bool digits(const char **p, int *out)
{
	int x = 0;
	const char *start = *p;

	for (; **p >= '0' && **p <= '9'; (*p)++)
		x = x > MAX_REPEAT ? x : x * 10 + (**p - '0');
	*out = x;
	return *p > start;
}

/* A quantifier at the cursor? {, if it is none, is a character, as in Python. */
static bool quantifier(struct parser *s, int *min, int *max)
{
	const char *p = s->p;
	bool low, high;

	switch (*p) {
	case '*':
		*min = 0;
		*max = -1;
		s->p++;
		return true;
	case '+':
		*min = 1;
		*max = -1;
		s->p++;
		return true;
	case '?':
		*min = 0;
		*max = 1;
		s->p++;
		return true;
	case '{':
		p++;
		low = digits(&p, min);
		if (*p == '}' && low) {
			*max = *min;
		} else if (*p == ',') {
			p++;
			high = digits(&p, max);
			if (*p != '}')
				return false;
			if (!high)
				*max = -1;
		} else {
			return false;
		}
		s->p = p + 1;
		return true;
	default:
		return false;
	}
}

static struct node *repeated(struct parser *s)
{
	struct node *a = atom(s);
	int min, max;

	if (!a || !quantifier(s, &min, &max))
		return a;
	if (min > MAX_REPEAT || max > MAX_REPEAT)
		return fail(s, "a repetition of more than 1000");
	if (max >= 0 && max < min)
		return fail(s, "a repetition whose bounds are the wrong way round");
	if (a->kind == NODE_INST && a->inst.op == OP_ASSERT)
		return fail(s, "a repeated assertion");
	struct node *r = node(s, NODE_REPEAT, a, NULL);
	r->min = min;
	r->max = max;
	if (*s->p == '?') {
		r->lazy = true;
		s->p++;
	}
	if (*s->p == '+')
		return fail(s, "a possessive quantifier");
	const char *rest = s->p;
	if (quantifier(s, &min, &max)) {
		s->p = rest;
		return fail(s, "a repetition of a repetition");
	}
	return r;
}

static struct node *sequence(struct parser *s)
{
	struct node *all = NULL;

	while (*s->p && *s->p != '|' && *s->p != ')') {
		struct node *one = repeated(s);
		if (!one)
			return NULL;
		all = all ? node(s, NODE_CAT, all, one) : one;
	}
	return all ? all : node(s, NODE_EMPTY, NULL, NULL);
}

static struct node *alternatives(struct parser *s)
{
	struct node *a = sequence(s);

	while (a && *s->p == '|') {
		s->p++;
		struct node *b = sequence(s);
		a = b ? node(s, NODE_ALT, a, b) : NULL;
	}
	return a;
}

/* ---- the program ---- */

static int emit(struct parser *s, struct inst i)
{
	struct pyregex *r = s->r;

	if (r->n == MAX_PROGRAM) {
		fail(s, "too large a pattern");
		return 0;
	}
	GROW(r->inst, r->n, r->cap);
	r->inst[r->n] = i;
	return r->n++;
}

static void generate(struct parser *s, const struct node *n);

/* A split at `at`, whose second way is to come here. */
static void split_ends(struct parser *s, int at, bool lazy)
{
	struct inst *i = &s->r->inst[at];

	i->to = lazy ? s->r->n : at + 1;
	i->other = lazy ? at + 1 : s->r->n;
}

static void generate_repeat(struct parser *s, const struct node *n)
{
	int loop;

	for (int i = 0, before = -1; i < n->min && !s->why && s->r->n != before; i++) { /* what is empty once is so a thousand times */
		before = s->r->n;
		generate(s, n->a);
	}
	if (n->max < 0) {
		loop = emit(s, (struct inst){.op = OP_SPLIT});
		generate(s, n->a);
		emit(s, (struct inst){.op = OP_JUMP, .to = loop});
		split_ends(s, loop, n->lazy);
		return;
	}
	int optional = n->max - n->min, *at = xcalloc((size_t)optional + 1, sizeof *at);
	for (int i = 0; i < optional && !s->why; i++) {
		at[i] = emit(s, (struct inst){.op = OP_SPLIT});
		generate(s, n->a);
	}
	for (int i = 0; i < optional && !s->why; i++)
		split_ends(s, at[i], n->lazy);
	free(at);
}

static void generate(struct parser *s, const struct node *n)
{
	int split, jump;

	if (s->why)
		return;
	switch (n->kind) {
	case NODE_EMPTY:
		break;
	case NODE_INST:
		emit(s, n->inst);
		break;
	case NODE_CAT:
		generate(s, n->a);
		generate(s, n->b);
		break;
	case NODE_ALT:
		split = emit(s, (struct inst){.op = OP_SPLIT});
		generate(s, n->a);
		jump = emit(s, (struct inst){.op = OP_JUMP});
		split_ends(s, split, false);
		generate(s, n->b);
		s->r->inst[jump].to = s->r->n;
		break;
	case NODE_REPEAT:
		generate_repeat(s, n);
		break;
	case NODE_GROUP:
		emit(s, (struct inst){.op = OP_SAVE, .c = 2 * (uint32_t)n->min});
		generate(s, n->a);
		emit(s, (struct inst){.op = OP_SAVE, .c = 2 * (uint32_t)n->min + 1});
		break;
	}
}

struct pyregex *pyregex_compile(const char *pattern, const char **why, size_t *at)
{
	struct pyregex *r = xcalloc(1, sizeof *r);
	struct parser s = {.text = pattern, .p = pattern, .r = r};

	if (strncmp(pattern, "(?i)", 4) == 0) {
		r->ignore_case = true;
		s.p += 4;
	}
	struct node *tree = strlen(pattern) > MAX_PROGRAM ? fail(&s, "too large a pattern") : alternatives(&s);
	if (tree && *s.p == ')')
		fail(&s, "a ) too many");
	if (tree && !s.why) {
		generate(&s, tree);
		emit(&s, (struct inst){.op = OP_MATCH});
	}
	for (int i = 0; i < s.n_made; i++)
		free(s.made[i]);
	free(s.made);
	if (!s.why)
		return r;
	*why = s.why;
	*at = (size_t)(s.p - pattern);
	pyregex_free(r);
	return NULL;
}

void pyregex_free(struct pyregex *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->n_sets; i++)
		free(r->set[i].item);
	free(r->set);
	free(r->inst);
	free(r);
}

int pyregex_groups(const struct pyregex *r)
{
	return r->groups;
}

/* ---- matching ---- */

struct point {
	int pc;
	size_t at;
	/* pc < 0: put back what was saved in slot ~pc */
};

struct run {
	const struct pyregex *r;
	const uint32_t *c; /* the text */
	size_t n;
	uint64_t *seen;    /* a bit for each state */
	size_t save[4];    /* start and end of the whole and of group 1, + 1; 0: not set */
	struct point *stack;
	size_t depth, cap;
	bool touched;      /* was it asked whether the text ends here? */
};

static bool is_kind(char kind, uint32_t c)
{
	switch (kind) {
	case 'd':
		return text_class(c) & TEXT_DIGIT;
	case 'D':
		return !(text_class(c) & TEXT_DIGIT);
	case 'w':
		return text_class(c) & TEXT_WORD;
	case 'W':
		return !(text_class(c) & TEXT_WORD);
	case 's':
		return text_space(c);
	default:
		return !text_space(c);
	}
}

static bool in_set(const struct set *s, uint32_t c)
{
	for (int i = 0; i < s->n; i++)
		if (s->item[i].kind ? is_kind(s->item[i].kind, c) : c >= s->item[i].first && c <= s->item[i].last)
			return true;
	return false;
}

/* The other characters that (?i) holds equal to c, as far as an ASCII pattern can tell. */
static int other_cases(uint32_t c, uint32_t out[2])
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
		out[0] = c ^ 0x20;
		return 1;
	}
	uint32_t same = c == 0x130 || c == 0x131 ? 'i' : c == 0x17f ? 's' : c == 0x212a ? 'k' : 0;
	out[0] = same;
	out[1] = same ^ 0x20;
	return same ? 2 : 0;
}

static bool accepts(const struct pyregex *r, const struct inst *i, uint32_t c)
{
	uint32_t other[2];
	int n = r->ignore_case ? other_cases(c, other) : 0;

	if (i->op == OP_ANY)
		return c != '\n';
	bool yes = i->op == OP_CHAR ? c == i->c : in_set(&r->set[i->c], c);
	for (int k = 0; k < n && !yes; k++)
		yes = i->op == OP_CHAR ? other[k] == i->c : in_set(&r->set[i->c], other[k]);
	return i->op == OP_SET && r->set[i->c].negated ? !yes : yes;
}

static bool is_word(const struct run *x, size_t at)
{
	return at < x->n && text_class(x->c[at]) & TEXT_WORD;
}

static bool holds(struct run *x, uint32_t what, size_t at)
{
	switch (what) {
	case '^':
	case 'A':
		return at == 0;
	case '$':
		x->touched |= at == x->n || (at == x->n - 1 && x->c[at] == '\n');
		return at == x->n || (at == x->n - 1 && x->c[at] == '\n');
	case 'Z':
		x->touched |= at == x->n;
		return at == x->n;
	default:
		x->touched |= at == x->n;
		return ((at > 0 && is_word(x, at - 1)) != is_word(x, at)) == (what == 'b');
	}
}

static void push(struct run *x, int pc, size_t at)
{
	GROW(x->stack, x->depth, x->cap);
	x->stack[x->depth++] = (struct point){pc, at};
}

/* From one start. */
static bool match_at(struct run *x, size_t start)
{
	const struct pyregex *r = x->r;

	x->depth = 0;
	memset(x->save, 0, sizeof x->save);
	push(x, 0, start);
	while (x->depth) {
		struct point p = x->stack[--x->depth];
		if (p.pc < 0) {
			x->save[~p.pc] = p.at;
			continue;
		}
		for (;;) {
			const struct inst *i = &r->inst[p.pc];
			size_t bit = (size_t)p.pc * (x->n + 1) + p.at;
			if (x->seen[bit / 64] >> bit % 64 & 1)
				break;
			x->seen[bit / 64] |= (uint64_t)1 << bit % 64;

			if (i->op == OP_MATCH) {
				x->save[0] = start + 1;
				x->save[1] = p.at + 1;
				return true;
			}
			if (i->op == OP_JUMP) {
				p.pc = i->to;
			} else if (i->op == OP_SPLIT) {
				push(x, i->other, p.at);
				p.pc = i->to;
			} else if (i->op == OP_SAVE) {
				if (i->c < 4) {
					push(x, ~(int)i->c, x->save[i->c]);
					x->save[i->c] = p.at + 1;
				}
				p.pc++;
			} else if (i->op == OP_ASSERT) {
				if (!holds(x, i->c, p.at))
					break;
				p.pc++;
			} else {
				x->touched |= p.at == x->n;
				if (p.at == x->n || !accepts(r, i, x->c[p.at]))
					break;
				p.pc++;
				p.at++;
			}
		}
	}
	return false;
}

struct pyregex_match pyregex_find(const struct pyregex *r, const char *text, size_t n)
{
	struct pyregex_match m = {0};
	uint32_t *c = xcalloc(n + 1, sizeof *c);
	size_t *byte = xcalloc(n + 1, sizeof *byte), chars = 0, bits;

	for (size_t at = 0; at < n; chars++) {
		int length = utf8_char((const unsigned char *)text + at, n - at, &c[chars]);
		byte[chars] = at;
		at += length > 0 ? (size_t)length : 1;
	}
	byte[chars] = n;
	if (!mul_size((size_t)r->n, chars + 1, &bits))
		die("out of memory: regular expression");
	struct run x = {.r = r, .c = c, .n = chars, .seen = xcalloc(bits / 64 + 1, sizeof *x.seen)};
	/* What has failed from one start fails from another, too: the bits stay. */
	for (size_t start = 0; start <= chars && !m.found; start++)
		m.found = match_at(&x, start);
	if (m.found) {
		const size_t *s = r->groups ? x.save + 2 : x.save;
		if (s[0] && s[1]) {
			m.start = byte[s[0] - 1];
			m.end = byte[s[1] - 1];
		}
	}
	m.final = m.found && !x.touched;
	free(x.stack);
	free(x.seen);
	free(byte);
	free(c);
	return m;
}
