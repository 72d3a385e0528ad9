/*
 * Rotary frequencies of published configurations, and of every form of scaling, against transformers: tests/data/configs, made
 * by tests/gen-configs.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "checked.h"
#include "rope.h"
#include "safetensors.h"

#define DATA "tests/data/configs/"

static void read_config(struct model_config *c, const char *name, size_t n)
{
	char *path = xasprintf(DATA "%.*s.json", (int)n, name);

	model_config_read_file(c, path);
	free(path);
}

static void frequencies(void **state)
{
	struct st_file *f = st_open(DATA "frequencies.safetensors");
	int models = 0, scaled = 0, same = 0, all = 0;

	(void)state;
	for (size_t i = 0; i < st_count(f); i++) {
		const struct st_tensor *t = st_at(f, i);
		const char *end = strstr(t->name, ".factor");
		struct model_config c;
		if (end && !end[strlen(".factor")]) {
			double want;
			read_config(&c, t->name, (size_t)(end - t->name));
			memcpy(&want, t->data, sizeof want);
			assert_true(fabs(c.rope.attention_factor - want) < 1e-12);
			scaled += want != 1;
			continue;
		}
		read_config(&c, t->name, strlen(t->name));
		assert_int_equal(t->shape[0], c.head_dim / 2);
		float *have = xcalloc((size_t)t->shape[0], sizeof *have);
		rope_frequencies(&c, have);
		for (int64_t k = 0; k < t->shape[0]; k++) {
			float want;
			memcpy(&want, (const char *)t->data + k * (int)sizeof want, sizeof want);
			/* pow() is not the same to the last bit everywhere, and what follows may double that */
			if (!(fabsf(have[k] - want) <= 2 * 0x1p-23f * want))
				fail_msg("%s: frequency %d: %.9g, not %.9g", t->name, (int)k, (double)have[k], (double)want);
			same += have[k] == want;
			all++;
		}
		free(have);
		models++;
	}
	st_close(f);
	print_message("# %d models, %d of %d frequencies the same bits\n", models, same, all);
	assert_true(models >= 15);
	assert_true(scaled >= 3); /* yarn */
	assert_true(same * 10 > all * 9);
}

/* Rows may be made piece by piece, and the factor is on both. */
static void table(void **state)
{
	struct model_config c;
	float f[48], whole[7 * 96], rest[4 * 96];

	(void)state;
	read_config(&c, "yarn-rough", strlen("yarn-rough"));
	assert_int_equal(c.head_dim, 96);
	rope_frequencies(&c, f);
	rope_table(&c, f, 0, 7, whole);
	rope_table(&c, f, 3, 4, rest);
	assert_memory_equal(whole + 3 * 96, rest, sizeof rest);
	for (int t = 0; t < 7; t++)
		for (int i = 0; i < 48; i++) {
			assert_true(fabs((double)whole[96 * t + i] - 0.9 * cos((double)((float)t * f[i]))) < 1e-7);
			assert_true(fabs((double)whole[96 * t + 48 + i] - 0.9 * sin((double)((float)t * f[i]))) < 1e-7);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(frequencies), cmocka_unit_test(table)};

	return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}
