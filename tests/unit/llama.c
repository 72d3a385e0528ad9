/* The Llama family against transformers; texts of several lengths. */
#include "nn/family.h"

#include "parity.h"

#define DATA "tests/data/llama/"

static const char *const models[] = {DATA "plain", DATA "linear",  DATA "dynamic", DATA "llama3",
                                     DATA "yarn",  DATA "mistral", DATA "qwen2",   DATA "padded",
                                     DATA "padded-last", NULL};

/* A later token changes nothing before it, and the table of angles may grow between two passes. */
static void lengths(void **state)
{
	(void)state;
	struct reference r = open_reference(models[0]);
	struct nn_model *m = nn_model_load(r.dir, cpu, TH_F32, false);
	int64_t V = m->config.vocab_size;
	float *x[3];
	const int64_t T[] = {5, r.T, 5};

	for (int i = 0; i < 3; i++) {
		th_scope_open();
		th_no_grad_open();
		th_tensor *id = th_from_host(r.id, TH_I64, cpu, 2, (int64_t[]){1, T[i]});
		x[i] = to_host(th_linear(m->family->hidden(m, id, NULL), m->head, NULL));
		th_no_grad_close();
		th_scope_close();
	}
	for (int64_t i = 0; i < 5 * V; i++) {
		assert_true(fabs((double)(x[0][i] - x[1][i])) < 1e-5);
		assert_true(x[0][i] == x[2][i]);
	}
	for (int i = 0; i < 3; i++)
		free(x[i]);
	nn_model_free(m);
	close_reference(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PARITY_TESTS(models),
		cmocka_unit_test(lengths),
	};

	nn_start("cpu", 1);
	int failed = cmocka_run_group_tests_name("llama", tests, NULL, NULL);
	th_shutdown();
	return failed;
}
