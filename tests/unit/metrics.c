/* Every measure on a matrix of three domains, small enough to be computed by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "metrics.h"

static const char *const names[] = {"a", "b", "c"};
static double losses[4][3] = {{5, 4, 3}, {4, 3.5, 3.2}, {4.4, 3, 3.1}, {4.6, 3.3, 2}};
static const double ft[3] = {4.1, 3.2, 2.2};

/* One cell can be left out: -1 for none. */
static struct matrix *make(int skip_k, int skip_j, bool two_portions, bool with_ft)
{
	char dir[] = "/tmp/palimpsest-metrics.XXXXXX", *order, *rows;
	struct matrix *m;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	order = path_join(dir, "order.tsv");
	rows = path_join(dir, "rows.tsv");
	f = fopen(order, "w");
	assert_non_null(f);
	fprintf(f, "#palimpsest-order 1\nstep\tdomain\tl1\tportion\tcosine\n1\ta\tx\tP\t-\n2\tb\ty\tP\t0.5\n3\tc\tz\t%s\t0.25\n",
	        two_portions ? "Q" : "P");
	fclose(f);
	f = fopen(rows, "w");
	assert_non_null(f);
	fprintf(f, "#palimpsest-rows 1\nmodel\tmodel_hash\tdomain\tprotocol\tdata_hash\tnll\ttargets\tppl\n");
	for (int k = 0; k < 4; k++)
		for (int j = 0; j < 3; j++)
			if (k != skip_k || j != skip_j)
				fprintf(f, "M%d\tm%d\t%s\tdisjoint\td%d\t%.17g\t100\t%.17g\n", k, k, names[j], j, 100 * losses[k][j],
				        exp(losses[k][j]));
	for (int j = 0; j < 3 && with_ft; j++)
		fprintf(f, "FT:%s\tf%d\t%s\tdisjoint\td%d\t%.17g\t100\t%.17g\n", names[j], j, names[j], j, 100 * ft[j],
		        exp(ft[j]));
	fclose(f);
	m = matrix_read(order, &(const char *const){rows}, 1, "test", false);
	unlink(order);
	unlink(rows);
	rmdir(dir);
	free(order);
	free(rows);
	return m;
}

static void is(const struct metrics *s, const char *name, int portion, double value, int n, int of)
{
	const struct metric *x = metrics_find(s, name, portion);

	assert_non_null(x);
	if (isnan(value) ? !isnan(x->value) : !(fabs(x->value - value) < 1e-12) || x->n != n || x->of != of)
		fail_msg("%s, portion %d: %.17g over %d of %d, not %.17g over %d of %d", name, portion, x->value, x->n, x->of,
		         value, n, of);
}

static void over_all_domains(void **state)
{
	struct matrix *m = make(-1, -1, true, true);
	struct metrics *s = metrics_of(m);

	(void)state;
	is(s, "ZS.log", -1, 4, 3, 3);
	is(s, "FT.log", -1, 9.5 / 3, 3, 3);
	is(s, "CPT.log", -1, 3, 3, 3);
	is(s, "LC.log", -1, 3.3, 3, 3);
	is(s, "ZS.ppl", -1, (exp(5) + exp(4) + exp(3)) / 3, 3, 3);
	is(s, "FT.ppl", -1, (exp(4.1) + exp(3.2) + exp(2.2)) / 3, 3, 3);
	is(s, "CPT.ppl", -1, (exp(4) + exp(3) + exp(2)) / 3, 3, 3);
	is(s, "LC.ppl", -1, (exp(4.6) + exp(3.3) + exp(2)) / 3, 3, 3);
	is(s, "FT-ZS", -1, -2.5 / 3, 3, 3);
	is(s, "CPT-ZS", -1, -1, 3, 3);
	is(s, "CPT-FT", -1, -0.5 / 3, 3, 3);
	is(s, "LC-ZS", -1, -0.7, 3, 3);
	is(s, "FG.cpt", -1, 0.3, 3, 3);
	is(s, "FG.cpt.ppl", -1, (exp(4.6) - exp(4) + exp(3.3) - exp(3)) / 3, 3, 3);
	is(s, "FG.best", -1, (0.6 + 0.3 - 1) / 3, 3, 3);
	is(s, "FG.best.ppl", -1, (exp(4.6) - exp(4) + exp(3.3) - exp(3) + exp(2) - exp(3)) / 3, 3, 3);
	is(s, "BWD", -1, 1.7 / 3, 3, 3);
	is(s, "BWD.within", -1, 0.6, 1, 1);
	is(s, "BWD.across", -1, 0.55, 2, 2);
	is(s, "BWD.positive", -1, 1, 3, 3);
	is(s, "BWD.reach", -1, 2, 3, 3);
	is(s, "BWD.saturation", -1, 2, 3, 3);
	is(s, "FWD", -1, 0.2 / 3, 3, 3);
	is(s, "FWD.within", -1, 0.5, 1, 1);
	is(s, "FWD.across", -1, -0.15, 2, 2);
	is(s, "FWD.positive", -1, 1.0 / 3, 3, 3);
	is(s, "ACC", -1, -3.3, 3, 3);
	is(s, "BWT", -1, -0.45, 2, 2);
	is(s, "FWT", -1, 0.2, 2, 2);
	is(s, "forgetting", -1, 0.45, 2, 2);
	is(s, "intransigence", -1, -0.5 / 3, 3, 3);
	is(s, "TIC.below", -1, 4.1, 3, 3);
	is(s, "TIC.diagonal", -1, 3, 3, 3);
	is(s, "TIC.above", -1, 9.8 / 3, 3, 3);
	metrics_free(s);
	matrix_free(m);
}

static void by_portion(void **state)
{
	struct matrix *m = make(-1, -1, true, true);
	struct metrics *s = metrics_of(m);

	(void)state;
	is(s, "ZS.log", 0, 4.5, 2, 2);
	is(s, "LC.log", 0, 3.95, 2, 2);
	is(s, "LC.log", 1, 2, 1, 1);
	is(s, "FG.best", 1, -1, 1, 1);
	is(s, "BWT", 0, -0.45, 2, 2);
	is(s, "BWT", 1, NAN, 0, 0); /* the last domain has had no time to be forgotten */
	is(s, "FWT", 0, 0.5, 1, 1);
	is(s, "FWT", 1, -0.1, 1, 1);
	is(s, "BWD", 0, 1.7 / 3, 3, 3);
	is(s, "BWD", 1, NAN, 0, 0);
	is(s, "FWD", 0, 0.5, 1, 1);
	is(s, "FWD", 1, -0.15, 2, 2);
	is(s, "TIC.below", 0, 4.1, 3, 3);
	is(s, "TIC.above", 1, 3.15, 2, 2);
	metrics_free(s);
	matrix_free(m);
}

static void one_portion_has_no_scope_of_its_own(void **state)
{
	struct matrix *m = make(-1, -1, false, true);
	struct metrics *s = metrics_of(m);

	(void)state;
	is(s, "BWD.across", -1, NAN, 0, 0);
	is(s, "BWD.within", -1, 1.7 / 3, 3, 3);
	assert_null(metrics_find(s, "ZS.log", 0));
	metrics_free(s);
	matrix_free(m);
}

static void missing_cells_are_counted(void **state)
{
	struct matrix *m = make(2, 0, true, false); /* M2 was not measured on a */
	struct metrics *s = metrics_of(m);

	(void)state;
	is(s, "FT.log", -1, NAN, 0, 3);
	is(s, "CPT-FT", -1, NAN, 0, 3);
	is(s, "BWD", -1, 0.55, 2, 3);
	is(s, "BWD.saturation", -1, NAN, 2, 3); /* step 2 might be the first */
	is(s, "TIC.below", -1, 3.95, 2, 3);
	is(s, "LC.log", -1, 3.3, 3, 3);
	metrics_free(s);
	matrix_free(m);

	m = make(0, 1, true, true); /* nor M0 on b: all that is relative to zero-shot lacks b */
	s = metrics_of(m);
	is(s, "ZS.log", -1, 4, 2, 3);
	is(s, "LC-ZS", -1, -0.7, 2, 3);
	is(s, "BWD", -1, 0.5, 2, 3);
	is(s, "FG.cpt", -1, 0.3, 3, 3);
	is(s, "FG.best", -1, (0.6 - 1) / 2, 2, 3); /* b's best may be M0 */
	metrics_free(s);
	matrix_free(m);
}

static void by_distance_step_and_l1(void **state)
{
	struct matrix *m = make(-1, -1, true, true);
	struct mean x = transfer_at(m, 1);
	struct transfer t;

	(void)state;
	assert_int_equal(x.n, 2);
	assert_float_equal(mean_value(&x), 0.65, 1e-12);
	assert_float_equal(mean_deviation(&x), sqrt(0.005), 1e-9);
	x = transfer_at(m, 0);
	assert_float_equal(mean_value(&x), 1, 1e-12);
	x = transfer_at(m, -1);
	assert_float_equal(mean_value(&x), 0.2, 1e-12);
	x = transfer_at(m, -2);
	assert_int_equal(x.n, 1);
	assert_float_equal(mean_value(&x), -0.2, 1e-12);
	assert_true(isnan(mean_deviation(&x)));

	t = transfer_after(m, 2);
	assert_float_equal(mean_value(&t.backward), 0.6, 1e-12);
	assert_float_equal(mean_value(&t.forward), -0.1, 1e-12);
	assert_float_equal(mean_value(&t.all), 1.5 / 3, 1e-12);
	assert_int_equal(t.forward_within.n, 0);

	t = transfer_between(m, 0, 1);
	assert_int_equal(t.backward.n, 0);
	assert_float_equal(mean_value(&t.forward), 0.5, 1e-12);
	t = transfer_between(m, 1, 0);
	assert_float_equal(mean_value(&t.backward), 0.6, 1e-12);
	matrix_free(m);
}

/* Gains over zero-shot on a after steps 2 and 3, on b after step 3. */
static void ends(double a2, double a3, double b3, int reach, int saturation)
{
	double kept[4][3];
	struct metrics *s;
	struct matrix *m;

	memcpy(kept, losses, sizeof kept);
	losses[2][0] = losses[0][0] - a2;
	losses[3][0] = losses[0][0] - a3;
	losses[3][1] = losses[0][1] - b3;
	m = make(-1, -1, true, true);
	s = metrics_of(m);
	is(s, "BWD.reach", -1, reach, 3, 3);
	is(s, "BWD.saturation", -1, saturation, 3, 3);
	metrics_free(s);
	matrix_free(m);
	memcpy(losses, kept, sizeof kept);
}

static void reach_and_saturation(void **state)
{
	(void)state;
	ends(-0.2, 0.4, 0.1, 0, 3); /* harm at distance 1 ends it, whatever is at 2 */
	ends(0.2, -0.1, 0.6, 1, 3);
	ends(0.282, 0.4, 0.2, 2, 3); /* 94 % of what is reached with step 3 */
	ends(0.288, 0.4, 0.2, 2, 2);
}

static void names_of_models(void **state)
{
	const char *domain = NULL;
	int step = -1;

	(void)state;
	assert_int_equal(model_parse("M0", &step, &domain), MODEL_STEP);
	assert_int_equal(step, 0);
	assert_int_equal(model_parse("M159", &step, &domain), MODEL_STEP);
	assert_int_equal(step, 159);
	assert_int_equal(model_parse("FT:cs.CL", &step, &domain), MODEL_FT);
	assert_string_equal(domain, "cs.CL");
	for (const char *const *bad = (const char *const[]){"", "M", "M01", "M-1", "M1 ", "M1x", "m1", "FT:", "FT", "gpt2",
	                                                    "M99999", "M+1", NULL}; *bad; bad++)
		assert_int_equal(model_parse(*bad, &step, &domain), MODEL_UNKNOWN);
}

static void reals_read_back(void **state)
{
	const double x[] = {0.1, 1.0 / 3, 12345.678, 1e-300, 182.3, exp(4.1), 5};

	(void)state;
	for (size_t i = 0; i < sizeof x / sizeof *x; i++)
		assert_true(strtod(real_text(x[i]), NULL) == x[i]);
	assert_string_equal(real_text(182.3), "182.3");
	assert_string_equal(real_text(NAN), "-");
	assert_string_equal(real_text(INFINITY), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_all_domains),        cmocka_unit_test(by_portion),
		cmocka_unit_test(one_portion_has_no_scope_of_its_own),
		cmocka_unit_test(missing_cells_are_counted), cmocka_unit_test(by_distance_step_and_l1),
		cmocka_unit_test(reach_and_saturation),    cmocka_unit_test(names_of_models),
		cmocka_unit_test(reals_read_back),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
