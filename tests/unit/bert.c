/* BERT and RoBERTa as masked language models against transformers. */
#include "nn/family.h"

#include "parity.h"

static const char *const models[] = {"tests/data/roberta/tied", "tests/data/roberta/untied", "tests/data/roberta/stored",
                                     "tests/data/bert/tied", "tests/data/bert/untied", "tests/data/bert/stored", NULL};

int main(void)
{
	const struct CMUnitTest tests[] = {PARITY_TESTS(models)};

	nn_start("cpu", 1);
	int failed = cmocka_run_group_tests_name("bert", tests, NULL, NULL);
	th_shutdown();
	return failed;
}
