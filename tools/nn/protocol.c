#include "nn/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "lib/checked.h"
#include "lib/die.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- windows one after the other, the first token of each with nothing before it --- */

static uint64_t disjoint_windows(const struct cut *c)
{
	uint64_t T = (uint64_t)c->context;

	return c->tokens / T + (c->tokens % T != 0);
}

static struct window disjoint_window(const struct cut *c, uint64_t i)
{
	uint64_t start = i * (uint64_t)c->context;
	int64_t length = (int64_t)smaller(c->tokens - start, (uint64_t)c->context);

	return (struct window){length, length - 1, start + 1, (double)(length - 1)};
}

/* M2D2's script multiplies a window's mean by its length. */
static struct window m2d2_window(const struct cut *c, uint64_t i)
{
	struct window w = disjoint_window(c, i);

	w.weight = (double)w.length;
	return w;
}

/* The last w->targets of the window's tokens are scored, each given those before it in the window. */
static void causal_fill(const struct cut *c, uint64_t i, const struct window *w, int64_t *id, int64_t *target)
{
	(void)i;
	corpus_copy(c->corpus, w->place - 1, (uint64_t)w->length, id);
	for (int64_t t = 0; t < w->length; t++)
		target[t] = t + 1 < w->length && t + 1 >= w->length - w->targets ? id[t + 1] : -1;
}

/* --- windows that begin every `setting` tokens, of which only what is new is scored --- */

static uint64_t strided_windows(const struct cut *c)
{
	uint64_t T = (uint64_t)c->context, S = (uint64_t)c->setting;

	if (c->tokens <= T)
		return c->tokens > 0;
	return 1 + (c->tokens - T) / S + ((c->tokens - T) % S != 0);
}

/*
 * The guide multiplies the mean that the model gives back by the number of new tokens less one, because the model
 * drops the first label; that is the number of targets in the first window, and one less than it in the others.
 */
static struct window strided_window(const struct cut *c, uint64_t i)
{
	uint64_t T = (uint64_t)c->context, start = i * (uint64_t)c->setting;
	uint64_t end = smaller(start + T, c->tokens), before = i ? start - (uint64_t)c->setting + T : 0;
	int64_t length = (int64_t)(end - start), fresh = (int64_t)(end - before);

	return (struct window){length, fresh < length ? fresh : length - 1, start + 1, (double)(fresh - 1)};
}

/* --- every token once, the first after the prefix, each window's first after the last of the one before --- */

/* What is left for the last window is scored with as much before it as the context holds: the window reaches back. */
static struct window rolling_window(const struct cut *c, uint64_t i)
{
	uint64_t T = (uint64_t)c->context, start = i * T, left = smaller(c->tokens - start, T);
	uint64_t length = i ? T : left;

	return (struct window){(int64_t)length, (int64_t)left, start + left - length, (double)left};
}

static void rolling_fill(const struct cut *c, uint64_t i, const struct window *w, int64_t *id, int64_t *target)
{
	corpus_copy(c->corpus, w->place, (uint64_t)w->length, target);
	if (i == 0)
		id[0] = c->prefix;
	else
		corpus_copy(c->corpus, w->place - 1, 1, id);
	memcpy(id + 1, target, (size_t)(w->length - 1) * sizeof *id);
	for (int64_t t = 0; t < w->length - w->targets; t++)
		target[t] = -1;
}

/* --- masked tokens: each window goes through the model `setting` times, each time with another fold of it masked --- */

static uint64_t masked_windows(const struct cut *c)
{
	return disjoint_windows(c) * (uint64_t)c->setting;
}

static int64_t fold_fill(const struct cut *c, uint64_t i, int64_t length, int64_t *id, int64_t *target)
{
	uint64_t window = i / (uint64_t)c->setting;

	corpus_copy(c->corpus, window * (uint64_t)c->context, (uint64_t)length, id);
	return mask_fold(c->masking, hash_number(c->corpus->hash), window, c->setting, (int64_t)(i % (uint64_t)c->setting),
	                 length, id, target);
}

static struct window masked_window(const struct cut *c, uint64_t i)
{
	struct window w = disjoint_window(c, i / (uint64_t)c->setting);
	int64_t *id = xcalloc(2 * (size_t)w.length, sizeof *id);

	w.place--;
	w.targets = fold_fill(c, i, w.length, id, id + w.length);
	w.weight = (double)w.targets;
	free(id);
	return w;
}

static void masked_fill(const struct cut *c, uint64_t i, const struct window *w, int64_t *id, int64_t *target)
{
	fold_fill(c, i, w->length, id, target);
}

/* --- the table --- */

static const struct protocol protocols[] = {
	{.name = "m2d2", .windows = disjoint_windows, .window = m2d2_window, .fill = causal_fill},
	{.name = "disjoint", .windows = disjoint_windows, .window = disjoint_window, .fill = causal_fill},
	{.name = "strided", .setting = "S", .min_setting = 2, .in_context = true,
	 .windows = strided_windows, .window = strided_window, .fill = causal_fill},
	{.name = "lm-eval", .needs_prefix = true, .windows = disjoint_windows, .window = rolling_window, .fill = rolling_fill},
	{.name = "masked", .setting = "K", .min_setting = 2, .usual_setting = MASK_FOLDS, .in_context = true, .masked = true,
	 .windows = masked_windows, .window = masked_window, .fill = masked_fill},
};
enum { N_PROTOCOLS = sizeof protocols / sizeof *protocols };

/* "m2d2|disjoint|strided:S|lm-eval|masked:K" */
static char *protocol_names(void)
{
	char *all = xstrdup("");

	for (int i = 0; i < N_PROTOCOLS; i++) {
		const struct protocol *p = &protocols[i];
		char *longer = xasprintf("%s%s%s%s%s", all, i ? "|" : "", p->name, p->setting ? ":" : "",
		                         p->setting ? p->setting : "");
		free(all);
		all = longer;
	}
	return all;
}

const struct protocol *protocol_parse(const char *text, int64_t *setting)
{
	size_t n = strcspn(text, ":");

	*setting = 0;
	for (const struct protocol *p = protocols; p < protocols + N_PROTOCOLS; p++) {
		if (strlen(p->name) != n || memcmp(p->name, text, n) != 0)
			continue;
		if (!p->setting && text[n])
			die_usage("--protocol %s: nothing may follow %s", text, p->name);
		if (!text[n] && p->usual_setting) {
			*setting = p->usual_setting;
			return p;
		}
		if (p->setting && (!text[n] || !parse_i64(text + n + 1, setting) || *setting < p->min_setting))
			die_usage("--protocol %s: %s:%s expected, %s a number from %lld on", text, p->name, p->setting, p->setting,
			          (long long)p->min_setting);
		return p;
	}
	die_usage("--protocol %s: not one of %s", text, protocol_names());
}

struct cut cut_text(const struct protocol *p, int64_t setting, const struct corpus *c, int64_t context, int64_t prefix)
{
	return (struct cut){p, c, context, setting, prefix, corpus_tokens(c), NULL};
}

uint64_t cut_windows(const struct cut *c)
{
	return c->protocol->windows(c);
}

struct window cut_window(const struct cut *c, uint64_t i)
{
	return c->protocol->window(c, i);
}

void cut_fill(const struct cut *c, uint64_t i, int64_t *id, int64_t *target)
{
	struct window w = cut_window(c, i);

	c->protocol->fill(c, i, &w, id, target);
}
