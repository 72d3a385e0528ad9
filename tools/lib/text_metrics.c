#include "text_metrics.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bert_chars.h"
#include "char_class.h"
#include "checked.h"
#include "text_class.h"

enum { ORDERS = 4 };

/* ---- characters ---- */

struct chars {
	uint32_t *c;
	size_t n, cap;
};

static void put(struct chars *s, uint32_t c)
{
	GROW(s->c, s->n, s->cap);
	s->c[s->n++] = c;
}

static struct chars decode(const char *text)
{
	struct chars s = {0};
	size_t n = strlen(text);

	for (size_t at = 0; at < n;) {
		uint32_t c = 0;
		int length = utf8_char((const unsigned char *)text + at, n - at, &c);
		put(&s, c);
		at += length > 0 ? (size_t)length : 1;
	}
	return s;
}

/* str.strip() */
static struct chars strip(struct chars s)
{
	size_t start = 0;

	while (s.n && text_space(s.c[s.n - 1]))
		s.n--;
	while (start < s.n && text_space(s.c[start]))
		start++;
	if (start)
		memmove(s.c, s.c + start, (s.n - start) * sizeof *s.c);
	s.n -= start;
	return s;
}

static bool same(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
	return n == m && (n == 0 || memcmp(a, b, n * sizeof *a) == 0);
}

/* ---- words: of several texts, numbered so that equal ones have equal numbers ---- */

struct word {
	uint32_t *c;
	size_t n;
};

struct words { /* the numbering */
	struct word *word;
	int n, cap;
};

struct text { /* a text's words */
	int *word;
	int n, cap;
};

static void add_word(struct words *all, struct text *t, const uint32_t *c, size_t n)
{
	int id = 0;

	while (id < all->n && !same(all->word[id].c, all->word[id].n, c, n))
		id++;
	if (id == all->n) {
		GROW(all->word, all->n, all->cap);
		all->word[all->n] = (struct word){xcalloc(n ? n : 1, sizeof *c), n};
		memcpy(all->word[all->n++].c, c, n * sizeof *c);
	}
	GROW(t->word, t->n, t->cap);
	t->word[t->n++] = id;
}

static void free_words(struct words *all)
{
	for (int i = 0; i < all->n; i++)
		free(all->word[i].c);
	free(all->word);
}

static struct text split(struct words *all, const struct chars *s)
{
	struct text t = {0};

	for (size_t i = 0; i < s->n;) {
		size_t start = i;
		while (i < s->n && !text_space(s->c[i]))
			i++;
		if (i > start)
			add_word(all, &t, s->c + start, i - start);
		while (i < s->n && text_space(s->c[i]))
			i++;
	}
	return t;
}

/* How often the n words at g stand in t. */
static int occurrences(const struct text *t, const int *g, int n)
{
	int count = 0;

	for (int i = 0; i + n <= t->n; i++)
		count += memcmp(t->word + i, g, (size_t)n * sizeof *g) == 0;
	return count;
}

static bool seen_before(const struct text *t, int at, int n)
{
	for (int i = 0; i < at; i++)
		if (memcmp(t->word + i, t->word + at, (size_t)n * sizeof *t->word) == 0)
			return true;
	return false;
}

/* ---- BLEU ---- */

/* One regex.sub of two neighbours: where first and second hold, blanks are put before, between and behind. */
static struct chars separate(struct chars s, unsigned first, bool has_first, unsigned second, bool has_second, bool before)
{
	struct chars out = {0};

	for (size_t i = 0; i < s.n; i++) {
		if (i + 1 < s.n && !(text_class(s.c[i]) & first) != has_first && !(text_class(s.c[i + 1]) & second) != has_second) {
			if (before)
				put(&out, ' ');
			put(&out, s.c[i]);
			put(&out, ' ');
			put(&out, s.c[++i]);
			if (!before)
				put(&out, ' ');
		} else {
			put(&out, s.c[i]);
		}
	}
	free(s.c);
	return out;
}

/* mteval-v14's international tokenization: (\P{N})(\p{P}) -> \1 \2 , (\p{P})(\P{N}) ->  \1 \2, (\p{S}) ->  \1 . */
static struct text bleu_words(struct words *all, const char *text)
{
	struct chars s = decode(text), out = {0};

	while (s.n && text_space(s.c[s.n - 1]))
		s.n--;
	s = separate(s, TEXT_NUMBER, false, TEXT_PUNCT, true, false);
	s = separate(s, TEXT_PUNCT, true, TEXT_NUMBER, false, true);
	for (size_t i = 0; i < s.n; i++) {
		bool symbol = text_class(s.c[i]) & TEXT_SYMBOL;
		if (symbol)
			put(&out, ' ');
		put(&out, s.c[i]);
		if (symbol)
			put(&out, ' ');
	}
	struct text t = split(all, &out);
	free(s.c);
	free(out.c);
	return t;
}

static void count_segment(const struct answer *a, double correct[ORDERS], double total[ORDERS], double *length, double *reference)
{
	struct words all = {0};
	struct text hyp = bleu_words(&all, a->response), *ref = xcalloc((size_t)a->n_targets, sizeof *ref);
	int closest = -1;

	for (int r = 0; r < a->n_targets; r++) {
		ref[r] = bleu_words(&all, a->target[r]);
		int near = abs(ref[r].n - hyp.n), best = closest < 0 ? 0 : abs(closest - hyp.n);
		if (closest < 0 || near < best || (near == best && ref[r].n < closest))
			closest = ref[r].n;
	}
	for (int n = 1; n <= ORDERS; n++)
		for (int i = 0; i + n <= hyp.n; i++) {
			total[n - 1]++;
			if (seen_before(&hyp, i, n))
				continue;
			int here = occurrences(&hyp, hyp.word + i, n), there = 0;
			for (int r = 0; r < a->n_targets; r++) {
				int k = occurrences(&ref[r], hyp.word + i, n);
				there = k > there ? k : there;
			}
			correct[n - 1] += here < there ? here : there;
		}
	*length += hyp.n;
	*reference += closest;
	for (int r = 0; r < a->n_targets; r++)
		free(ref[r].word);
	free(ref);
	free(hyp.word);
	free_words(&all);
}

double text_bleu(const struct answer *a, size_t n)
{
	double correct[ORDERS] = {0}, total[ORDERS] = {0}, length = 0, reference = 0, halved = 1, sum = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		count_segment(&a[i], correct, total, &length, &reference);
	for (int k = 0; k < ORDERS; k++)
		any |= correct[k] > 0;
	if (!any)
		return 0;
	for (int k = 0; k < ORDERS; k++) {
		if (total[k] == 0)
			return 0; /* its logarithm counts as -9999999999 */
		if (correct[k] == 0)
			halved *= 2;
		sum += log(correct[k] == 0 ? 100 / (halved * total[k]) : 100 * correct[k] / total[k]);
	}
	double brevity = length < reference ? exp(1 - reference / length) : 1;
	return brevity * exp(sum / ORDERS);
}

/* ---- ROUGE ---- */

static struct text rouge_words(struct words *all, const uint32_t *c, size_t n)
{
	struct text t = {0};
	struct chars word = {0};

	for (size_t i = 0; i <= n; i++) {
		uint32_t x = i < n ? c[i] : ' ';
		if (x >= 'A' && x <= 'Z')
			x += 'a' - 'A';
		else if (x == 0x130) /* their small letters, or the first of them, are ASCII */
			x = 'i';
		else if (x == 0x212a)
			x = 'k';
		if ((x >= 'a' && x <= 'z') || (x >= '0' && x <= '9')) {
			put(&word, x);
			/* U+0130 becomes i and a dot above, which ends the word. */
			if (!(i < n && c[i] == 0x130))
				continue;
		}
		if (word.n)
			add_word(all, &t, word.c, word.n);
		word.n = 0;
	}
	free(word.c);
	return t;
}

static double f_measure(double hits, double n_response, double n_target)
{
	double precision = hits / (n_response > 0 ? n_response : 1), recall = hits / (n_target > 0 ? n_target : 1);

	return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static double rouge_n(const struct chars *target, const struct chars *response, int n)
{
	struct words all = {0};
	struct text t = rouge_words(&all, target->c, target->n), r = rouge_words(&all, response->c, response->n);
	int hits = 0;

	for (int i = 0; i + n <= t.n; i++) {
		if (seen_before(&t, i, n))
			continue;
		int here = occurrences(&t, t.word + i, n), there = occurrences(&r, t.word + i, n);
		hits += here < there ? here : there;
	}
	double f = f_measure(hits, r.n >= n ? r.n - n + 1 : 0, t.n >= n ? t.n - n + 1 : 0);
	free(t.word);
	free(r.word);
	free_words(&all);
	return f;
}

/* Marks the words of a longest common subsequence, among several the one that rouge_score finds. */
static void mark_lcs(const struct text *ref, const struct text *can, bool *in)
{
	size_t columns = (size_t)can->n + 1;
	int *t = xcalloc(((size_t)ref->n + 1) * columns, sizeof *t);

	for (int i = 1; i <= ref->n; i++)
		for (int j = 1; j <= can->n; j++) {
			int up = t[(size_t)(i - 1) * columns + (size_t)j], left = t[(size_t)i * columns + (size_t)j - 1];
			t[(size_t)i * columns + (size_t)j] = ref->word[i - 1] == can->word[j - 1]
			                                         ? t[(size_t)(i - 1) * columns + (size_t)j - 1] + 1
			                                         : up > left ? up : left;
		}
	for (int i = ref->n, j = can->n; i > 0 && j > 0;) {
		if (ref->word[i - 1] == can->word[j - 1]) {
			in[--i] = true;
			j--;
		} else if (t[(size_t)i * columns + (size_t)j - 1] > t[(size_t)(i - 1) * columns + (size_t)j]) {
			j--;
		} else {
			i--;
		}
	}
	free(t);
}

struct sentences {
	struct text *text;
	int n, cap;
};

static struct sentences sentences(struct words *all, const struct chars *s)
{
	struct sentences out = {0};

	for (size_t i = 0; i < s->n; i++) {
		size_t start = i;
		while (i < s->n && s->c[i] != '\n')
			i++;
		if (i == start)
			continue;
		GROW(out.text, out.n, out.cap);
		out.text[out.n++] = rouge_words(all, s->c + start, i - start);
	}
	return out;
}

static void free_sentences(struct sentences *s)
{
	for (int i = 0; i < s->n; i++)
		free(s->text[i].word);
	free(s->text);
}

static void count_words(const struct sentences *s, int *count, int *n)
{
	for (int i = 0; i < s->n; i++)
		for (int k = 0; k < s->text[i].n; k++) {
			count[s->text[i].word[k]]++;
			++*n;
		}
}

/* Lin 2004, 3.2: the union of each target sentence's common subsequences with all sentences, no word counted twice. */
static double rouge_lsum(const struct chars *target, const struct chars *response)
{
	struct words all = {0};
	struct sentences t = sentences(&all, target), r = sentences(&all, response);
	int *left_t = xcalloc((size_t)all.n + 1, sizeof *left_t), *left_r = xcalloc((size_t)all.n + 1, sizeof *left_r);
	int n_t = 0, n_r = 0, hits = 0;

	count_words(&t, left_t, &n_t);
	count_words(&r, left_r, &n_r);
	for (int i = 0; i < t.n; i++) {
		bool *in = xcalloc((size_t)t.text[i].n + 1, sizeof *in);
		for (int j = 0; j < r.n; j++)
			mark_lcs(&t.text[i], &r.text[j], in);
		for (int k = 0; k < t.text[i].n; k++) {
			int w = t.text[i].word[k];
			if (in[k] && left_t[w] > 0 && left_r[w] > 0) {
				hits++;
				left_t[w]--;
				left_r[w]--;
			}
		}
		free(in);
	}
	free(left_t);
	free(left_r);
	free_sentences(&t);
	free_sentences(&r);
	free_words(&all);
	return f_measure(hits, n_r, n_t);
}

/* t5 puts a newline behind a full stop between blanks. */
static struct chars with_sentences(const char *text)
{
	struct chars s = decode(text);

	for (size_t i = 0; i + 2 < s.n; i++)
		if (s.c[i] == ' ' && s.c[i + 1] == '.' && s.c[i + 2] == ' ') {
			s.c[i + 2] = '\n';
			i += 2;
		}
	return s;
}

double text_rouge(const struct answer *a, enum rouge kind)
{
	struct chars response = with_sentences(a->response);
	double best = 0;

	for (int i = 0; i < a->n_targets; i++) {
		struct chars target = with_sentences(a->target[i]);
		double f = kind == ROUGE_LSUM ? rouge_lsum(&target, &response) : rouge_n(&target, &response, kind == ROUGE_1 ? 1 : 2);
		best = f > best ? f : best;
		free(target.c);
	}
	free(response.c);
	return best;
}

/* ---- the plain ones ---- */

double text_sequence_f1(const struct answer *a)
{
	const char *t = a->target[0], *p = a->response;
	int n = 0, right = 0;

	for (bool more = true, more_p = true; more;) {
		size_t length = strcspn(t, " "), length_p = more_p ? strcspn(p, " ") : 0;
		right += more_p ? length == length_p && memcmp(t, p, length) == 0 : length == 1 && *t == 'O';
		n++;
		more = t[length];
		t += length + more;
		if (more_p) {
			more_p = p[length_p];
			p += length_p + more_p;
		}
	}
	return 100.0 * right / n;
}

bool text_equals(const struct answer *a)
{
	for (int i = 0; i < a->n_targets; i++)
		if (strcmp(a->response, a->target[i]) == 0)
			return true;
	return false;
}

static struct chars folded(const char *text)
{
	struct chars s = strip(decode(text)), out = {0};

	for (size_t i = 0; i < s.n; i++) {
		put(&out, s.c[i] == 0x130 ? 'i' : bert_to_lower(s.c[i]));
		if (s.c[i] == 0x130)
			put(&out, 0x307);
	}
	free(s.c);
	return out;
}

bool text_equals_folded(const struct answer *a)
{
	struct chars response = folded(a->response);
	bool yes = false;

	for (int i = 0; i < a->n_targets && !yes; i++) {
		struct chars target = folded(a->target[i]);
		yes = same(response.c, response.n, target.c, target.n);
		free(target.c);
	}
	free(response.c);
	return yes;
}

/* Digits, with a _ allowed between two; copies them to *to. */
static size_t digits(const uint32_t *c, size_t n, size_t at, char **to)
{
	size_t start = at;

	while (at < n && ((c[at] >= '0' && c[at] <= '9') ||
	                  (c[at] == '_' && at > start && c[at - 1] != '_' && at + 1 < n && c[at + 1] >= '0' && c[at + 1] <= '9'))) {
		if (c[at] != '_')
			*(*to)++ = (char)c[at];
		at++;
	}
	return at - start;
}

bool text_float(const char *text, double *out)
{
	static const char *const names[] = {"inf", "infinity", "nan"};
	struct chars s = strip(decode(text));
	char *plain = xmalloc(s.n + 1), *to = plain, *end;
	size_t at = 0, whole, fraction = 0;
	bool ok = false;

	if (at < s.n && (s.c[at] == '+' || s.c[at] == '-'))
		*to++ = (char)s.c[at++];
	whole = digits(s.c, s.n, at, &to);
	at += whole;
	if (at < s.n && s.c[at] == '.') {
		*to++ = '.';
		at++;
		fraction = digits(s.c, s.n, at, &to);
		at += fraction;
	}
	if (whole + fraction > 0) {
		ok = true;
		if (at < s.n && (s.c[at] == 'e' || s.c[at] == 'E')) {
			*to++ = 'e';
			at++;
			if (at < s.n && (s.c[at] == '+' || s.c[at] == '-'))
				*to++ = (char)s.c[at++];
			size_t exponent = digits(s.c, s.n, at, &to);
			ok = exponent > 0;
			at += exponent;
		}
	} else if (to <= plain + 1 && (to == plain || to[-1] != '.')) {
		size_t sign = (size_t)(to - plain);
		for (; at < s.n && s.c[at] < 0x80; at++)
			*to++ = (char)s.c[at];
		*to = 0;
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			ok |= strcasecmp(plain + sign, names[i]) == 0;
	}
	*to = 0;
	ok = ok && at == s.n;
	if (ok)
		*out = strtod(plain, &end);
	free(plain);
	free(s.c);
	return ok;
}
