#include "rope.h"

#include <math.h>

/*
 * The steps, and the rounding of each to f32, are those of transformers' modeling_rope_utils: at position 100,000, a
 * frequency that differs in its last bit is another angle.
 */

/* theta^(2 i / D) */
static float period(const struct model_config *c, int64_t i)
{
	return (float)pow((double)(float)c->rope.theta, (double)((float)(2 * i) / (float)c->head_dim));
}

/* Llama 3.1: periods over `low` tokens are stretched by the factor, those below `high` stay, and between it is smooth. */
static float llama3(const struct model_rope *r, float f)
{
	const float factor = (float)r->factor, low_factor = (float)r->low_freq_factor, pi2 = (float)(2 * acos(-1));
	const float low = (float)((double)r->original_positions / r->low_freq_factor);
	const float high = (float)((double)r->original_positions / r->high_freq_factor);
	const float wavelength = pi2 / f;

	if (wavelength > low)
		return f / factor;
	if (wavelength < high)
		return f;
	float smooth = (float)r->original_positions / wavelength;
	smooth = (smooth - low_factor) / (float)(r->high_freq_factor - r->low_freq_factor);
	return (1 - smooth) * f / factor + smooth * f;
}

/* The dimension that turns `rotations` times in the original context: 2309.00071, equation 17. */
static double yarn_dimension(const struct model_config *c, double rotations)
{
	const double pi2 = 2 * acos(-1);

	return (double)c->head_dim * log((double)c->rope.original_positions / (rotations * pi2)) / (2 * log(c->rope.theta));
}

/* Dimensions below `low` stay, those above `high` are stretched, and between there is a ramp. */
static float yarn(const struct model_config *c, int64_t i)
{
	const struct model_rope *r = &c->rope;
	double low = yarn_dimension(c, r->beta_fast), high = yarn_dimension(c, r->beta_slow);

	if (r->truncate) {
		low = floor(low);
		high = ceil(high);
	}
	low = fmax(low, 0);
	high = fmin(high, (double)c->head_dim - 1);
	if (low == high)
		high += 0.001;
	float ramp = fminf(fmaxf(((float)i - (float)low) / (float)(high - low), 0), 1);
	float stay = 1 - ramp, p = period(c, i);
	return 1 / ((float)r->factor * p) * (1 - stay) + 1 / p * stay;
}

void rope_frequencies(const struct model_config *c, float *f)
{
	for (int64_t i = 0; i < c->head_dim / 2; i++) {
		f[i] = 1 / period(c, i);
		if (c->rope.type == ROPE_LINEAR)
			f[i] /= (float)c->rope.factor;
		else if (c->rope.type == ROPE_LLAMA3)
			f[i] = llama3(&c->rope, f[i]);
		else if (c->rope.type == ROPE_YARN)
			f[i] = yarn(c, i);
	}
}

void rope_table(const struct model_config *c, const float *f, int64_t first, int64_t n, float *table)
{
	const int64_t half = c->head_dim / 2;
	const float factor = (float)c->rope.attention_factor;

	for (int64_t row = 0; row < n; row++)
		for (int64_t i = 0; i < half; i++) {
			const float angle = (float)(first + row) * f[i];
			table[row * c->head_dim + i] = (float)cos((double)angle) * factor;
			table[row * c->head_dim + half + i] = (float)sin((double)angle) * factor;
		}
}
