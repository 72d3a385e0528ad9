/* GPT-2 and the schedules of AdamW against transformers; keys of dropout. */
#include "nn/family.h"

#include "parity.h"

static const char *const models[] = {"tests/data/gpt2/tied", "tests/data/gpt2/bare", "tests/data/gpt2/one-head", NULL};

static void keys_differ(void **state)
{
	(void)state;
	struct nn_dropout d = {.embd = 0.1, .seed = 1};
	th_key seen[3 * 4 * 2 * 2];
	int n = 0;

	for (d.step = 0; d.step < 2; d.step++)
		for (d.micro_step = 0; d.micro_step < 2; d.micro_step++)
			for (int layer = 0; layer < 3; layer++)
				for (int place = 0; place < 4; place++)
					seen[n++] = nn_dropout_key(&d, layer, place);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			assert_true(seen[i].stream != seen[j].stream);
}

static void schedules(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum schedule kind;
	} kind[] = {{"linear", SCHEDULE_LINEAR},
	            {"cosine", SCHEDULE_COSINE},
	            {"constant_with_warmup", SCHEDULE_CONSTANT},
	            {"warmup_stable_decay", SCHEDULE_WSD}};
	struct reference r = {.file = st_open("tests/data/gpt2/schedules.safetensors")};

	for (size_t i = 0; i < sizeof kind / sizeof *kind; i++)
		for (int warmup = 0; warmup <= 4; warmup += 4) {
			char *name = xasprintf("%s.%d", kind[i].name, warmup);
			const struct st_tensor *t = get(&r, name);
			for (int s = 0; s < 20; s++) {
				double want;
				memcpy(&want, (const char *)t->data + s * (int)sizeof want, sizeof want);
				double have = schedule_factor(kind[i].kind, s, 20, warmup, 5);
				if (!(fabs(have - want) < 1e-12))
					fail_msg("%s: step %d: %.17g, not %.17g", name, s, have, want);
			}
			free(name);
		}
	st_close(r.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PARITY_TESTS(models),
		cmocka_unit_test(keys_differ),
		cmocka_unit_test(schedules),
	};

	nn_start("cpu", 1);
	int failed = cmocka_run_group_tests_name("gpt2", tests, NULL, NULL);
	th_shutdown();
	return failed;
}
