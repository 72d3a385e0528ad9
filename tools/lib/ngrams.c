#include "ngrams.h"

#include <stdlib.h>
#include <string.h>

#include "checked.h"

void ngrams_visit(const char *text, size_t n, int longest, void (*visit)(void *arg, const struct ngram *g), void *arg)
{
	struct word w = {0}, word[NGRAM_MAX_WORDS];
	size_t begin[NGRAM_MAX_WORDS], made = 0, cap = 0; /* of each word in key */
	char *key = NULL;
	int have = 0;

	while (word_next(text, n, &w)) {
		if (!w.joined)
			have = 0, made = 0;
		if (have > 0 && have == longest) {
			size_t cut = have > 1 ? begin[1] : made;
			memmove(key, key + cut, made - cut);
			made -= cut;
			have--;
			memmove(word, word + 1, (size_t)have * sizeof *word);
			for (int i = 0; i < have; i++)
				begin[i] = begin[i + 1] - cut;
		}
		size_t need = made + 1 + 2 * (w.end - w.start);
		if (need > cap) {
			cap = 2 * need;
			key = xreallocarray(key, cap, 1);
		}
		if (have)
			key[made++] = ' ';
		begin[have] = made;
		made += word_fold(text + w.start, w.end - w.start, key + made);
		word[have++] = w;
		for (int k = 1; k <= have; k++) {
			size_t from = begin[have - k];
			visit(arg, &(struct ngram){key + from, made - from, word + have - k, k});
		}
	}
	free(key);
}

struct whole {
	struct intern *key;
	size_t words;
	int64_t id;
};

static void add_whole(void *arg, const struct ngram *g)
{
	struct whole *w = arg;

	if ((size_t)g->words == w->words)
		w->id = intern_add(w->key, g->key, g->n_key);
}

int64_t ngrams_add(struct ngrams *set, const char *text)
{
	struct word w = {0};
	struct whole whole = {&set->key, 0, -1};
	size_t n = strlen(text);

	while (word_next(text, n, &w)) {
		if (whole.words && !w.joined)
			return -1;
		whole.words++;
	}
	if (whole.words == 0 || whole.words > NGRAM_MAX_WORDS)
		return -1;
	ngrams_visit(text, n, (int)whole.words, add_whole, &whole);
	if ((int)whole.words > set->longest)
		set->longest = (int)whole.words;
	return whole.id;
}

void ngrams_free(struct ngrams *set)
{
	intern_free(&set->key);
}

struct search {
	const struct ngrams *set;
	struct occurrence *found;
	size_t n, cap;
};

static void look_up(void *arg, const struct ngram *g)
{
	struct search *s = arg;
	int64_t id = intern_find(&s->set->key, g->key, g->n_key);

	if (id < 0)
		return;
	GROW(s->found, s->n, s->cap);
	s->found[s->n++] = (struct occurrence){g->word[0].start, g->word[g->words - 1].end, (uint32_t)id};
}

struct occurrence *ngrams_find(const struct ngrams *set, const char *text, size_t n, size_t *count)
{
	struct search s = {.set = set};

	if (set->longest)
		ngrams_visit(text, n, set->longest, look_up, &s);
	*count = s.n;
	return s.found;
}
