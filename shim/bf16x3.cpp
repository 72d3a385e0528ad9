/* bf16x3.cpp: layers of f32 multiplied by AMX (tiles.h), without gradients. */
#include "fused_parts.h"

#include <ATen/ops/empty.h>

#include "tiles.h"

/*
 * Rows that go through all weights together: many, for each time the weights come from afar; no more than stay in the
 * processor's own cache; and something for every thread.
 */
static int64_t rows_at_once(int64_t n, int64_t K)
{
	const int64_t threads = at::get_num_threads(), cached = (768 << 10) / (TILES_SIZE * 2 * tiles_of(K));
	return TILES * std::max<int64_t>(1, std::min({cached, tiles_of((n + threads - 1) / threads), int64_t{16}}));
}

bool fused_has_bf16x3(at::Device device)
{
	return device.is_cpu() && machine_has_tiles();
}

static uint16_t *words_of(const Tensor &tiles)
{
	return reinterpret_cast<uint16_t *>(tiles.data_ptr<at::BFloat16>());
}

Tensor fused_bf16x3_weights(const Tensor &w)
{
	TORCH_CHECK(fused_has_bf16x3(w.device()) && w.scalar_type() == at::kFloat && w.dim() == 2 && w.numel() > 0,
		    "bf16x3: no f32 matrix on a processor with AMX");
	const Tensor from = w.detach().contiguous();
	const int64_t O = w.size(0), K = w.size(1), depth = tiles_of(K);
	const Tensor tiles = at::empty({tiles_of(O), depth, TILES_SIZE}, w.options().dtype(at::kBFloat16));
	const float *rows = from.const_data_ptr<float>();
	uint16_t *to = words_of(tiles);

	at::parallel_for(0, tiles_of(O), 1, [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			tiles_of_weights(rows + i * TILES * K, std::min(TILES, O - i * TILES), K, to + i * depth * TILES_SIZE);
	});
	return tiles;
}

/* x (m, K), or with room for (TILES, K) the GELU of x, as tiles */
static void rows_to_tiles(const float *x, int64_t m, int64_t K, float *gelu, uint16_t *tiles)
{
	for (int64_t i = 0; i < m; i += TILES, x += TILES * K, tiles += tiles_of(K) * TILES_SIZE) {
		const int64_t some = std::min(TILES, m - i);
		if (gelu)
			kernels_for(KERNEL_F32)->gelu_erf(x, gelu, some * K);
		tiles_of_rows(gelu ? gelu : x, some, K, tiles);
	}
}

Tensor fused_linear_bf16x3(const Tensor &x, const Tensor &w, const Tensor &b, bool gelu)
{
	const int64_t K = x.size(-1), O = b.size(0), depth = tiles_of(K);
	TORCH_CHECK(x.is_cpu() && x.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat && w.dim() == 3 &&
			w.size(0) == tiles_of(O) && w.size(1) == depth && w.size(2) == TILES_SIZE,
		    "bf16x3: x, weights and bias do not fit");
	std::vector<int64_t> shape = x.sizes().vec();
	shape.back() = O;
	const Tensor rows = x.detach().contiguous(), bias = b.detach().contiguous(), y = at::empty(shape, rows.options());
	const int64_t n = x.numel() / K, some = rows_at_once(n, K);
	const float *from = rows.const_data_ptr<float>();
	float *to = y.data_ptr<float>();

	at::parallel_for(0, (n + some - 1) / some, 1, [&](int64_t begin, int64_t end) {
		const Tensor tiles = at::empty({some / TILES, depth, TILES_SIZE}, w.options());
		const Tensor active = at::empty({gelu ? TILES : 0, K}, rows.options());
		for (int64_t i = begin * some; i < std::min(n, end * some); i += some) {
			const int64_t m = std::min(some, n - i);
			rows_to_tiles(from + i * K, m, K, gelu ? active.data_ptr<float>() : nullptr, words_of(tiles));
			tiles_multiply(words_of(tiles), words_of(w), bias.const_data_ptr<float>(), m, O, depth, to + i * O);
		}
	});
	return y;
}
