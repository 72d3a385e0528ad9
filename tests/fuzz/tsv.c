/* Every cell of a table that is taken is there, clean, and found by its column. */
#include "fuzz.h"

#include "tsv.h"

static void numbers(void *arg)
{
	const struct tsv *t = arg;

	for (int i = 0; i < t->n_rows; i++)
		for (int k = 0; k < t->n_columns; k++) {
			tsv_real(t, i, k);
			tsv_int(t, i, k);
		}
}

void fuzz(const uint8_t *data, size_t n)
{
	struct tsv *t = tsv_read(fuzz_file(data, n), "rows");

	CHECK(t->n_columns > 0 && t->n_rows >= 0);
	for (int k = 0; k < t->n_columns; k++)
		CHECK(tsv_find_column(t, t->column[k]) == k);
	for (int i = 0; i < t->n_rows; i++) {
		CHECK(t->line[i] > 2 && (i == 0 || t->line[i] > t->line[i - 1]));
		for (int k = 0; k < t->n_columns; k++)
			CHECK(!t->cell[i][k][0] || tsv_is_clean(t->cell[i][k]));
	}
	fuzz_lives(numbers, t);
	tsv_free(t);
}
