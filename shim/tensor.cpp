/* tensor.cpp: tensor.h on libtorch: handles and scopes, errors, and one short function for each operation. */
#include "tensor.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_zero.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Event.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "fused.h"
#include "graph.h"

using at::Tensor;

struct th_tensor {
	Tensor t;
	size_t scope, index; /* where it stands in `scopes` */
};

/* ---- errors ---- */

static void print_and_exit(th_error kind, const char *message)
{
	fprintf(stderr, "%s\n", message);
	exit(kind == TH_ERR_FAILED ? 1 : 4);
}

static th_error_handler *on_error = print_and_exit;
static struct {
	th_error kind;
	char message[1024];
} failure;

void th_on_error(th_error_handler *handler)
{
	on_error = handler ? handler : print_and_exit;
}

static bool contains(const char *text, const char *part)
{
	return strstr(text, part) != nullptr;
}

/* Keeps the first line, without control characters, and finds out what kind of failure a text tells of. */
static void keep_failure(th_error kind, const char *what)
{
	static const char *const device[] = {"CUDA error",
					     "CUDA driver",
					     "NVIDIA driver",
					     "cuda runtime error",
					     "No CUDA GPUs",
					     "CUDA backend",
					     "invalid device ordinal",
					     "CUDA unknown error",
					     "cuDNN error",
					     "CUBLAS_STATUS",
					     "not linked with support for cuda"};
	size_t n = strcspn(what, "\n");

	if (n >= sizeof failure.message)
		n = sizeof failure.message - 1;
	memcpy(failure.message, what, n);
	failure.message[n] = '\0';
	for (char *c = failure.message; *c; c++)
		if (static_cast<unsigned char>(*c) < ' ')
			*c = ' ';
	for (const char *text : device)
		if (kind == TH_ERR_FAILED && contains(failure.message, text))
			kind = TH_ERR_DEVICE;
	if (contains(failure.message, "out of memory") || contains(failure.message, "can't allocate memory") ||
	    contains(failure.message, "CUBLAS_STATUS_ALLOC_FAILED"))
		kind = TH_ERR_MEMORY;
	failure.kind = kind;
}

static void keep_exception()
{
	try {
		throw;
	} catch (const c10::OutOfMemoryError &e) {
		keep_failure(TH_ERR_MEMORY, e.what_without_backtrace());
	} catch (const c10::Error &e) {
		keep_failure(TH_ERR_FAILED, e.what_without_backtrace());
	} catch (const std::bad_alloc &) {
		keep_failure(TH_ERR_MEMORY, "out of memory");
	} catch (const std::exception &e) {
		keep_failure(TH_ERR_FAILED, e.what());
	} catch (...) {
		keep_failure(TH_ERR_FAILED, "unknown exception");
	}
}

/* The handler is called when the exception is gone, so it may leave by longjmp(). */
[[noreturn]] static void fail()
{
	on_error(failure.kind, failure.message);
	abort();
}

/* Every entry point that may throw goes through here. */
template <class F> static auto entry(const F &body) -> decltype(body())
{
	try {
		return body();
	} catch (...) {
		keep_exception();
	}
	fail();
}

/* ---- scopes ---- */

/* scopes[0] is the outermost, which th_shutdown() frees. */
static std::vector<std::vector<th_tensor *>> scopes(1);
static size_t live;

static th_tensor *enter(th_tensor *t, size_t scope)
{
	t->scope = scope;
	t->index = scopes[scope].size();
	scopes[scope].push_back(t);
	return t;
}

static th_tensor *handle(Tensor t)
{
	th_tensor *h = enter(new th_tensor{std::move(t), 0, 0}, scopes.size() - 1);
	live++;
	return h;
}

template <class F> static th_tensor *make(const F &body)
{
	return entry([&] { return handle(body()); });
}

static void free_scope(std::vector<th_tensor *> &scope)
{
	for (size_t i = scope.size(); i-- > 0; live--)
		delete scope[i];
	scope.clear();
}

void th_scope_open(void)
{
	entry([] { scopes.emplace_back(); });
}

void th_scope_close(void)
{
	entry([] {
		TORCH_CHECK(scopes.size() > 1, "th_scope_close: no scope is open");
		free_scope(scopes.back());
		scopes.pop_back();
	});
}

th_tensor *th_keep(th_tensor *t)
{
	return entry([=] {
		if (scopes.size() == 1 || t->scope != scopes.size() - 1)
			return t;
		std::vector<th_tensor *> &from = scopes.back();
		from[t->index] = from.back();
		from[t->index]->index = t->index;
		from.pop_back();
		return enter(t, scopes.size() - 2);
	});
}

th_tensor *th_become(th_tensor *t, th_tensor *now)
{
	return entry([=] {
		t->t = now->t;
		return t;
	});
}

size_t th_live(void)
{
	return live;
}

void th_shutdown(void)
{
	entry([] { free_scope(scopes[0]); });
}

static std::vector<bool> grad_modes;

void th_no_grad_open(void)
{
	entry([] {
		grad_modes.push_back(c10::GradMode::is_enabled());
		c10::GradMode::set_enabled(false);
	});
}

void th_no_grad_close(void)
{
	entry([] {
		TORCH_CHECK(!grad_modes.empty(), "th_no_grad_close: none is open");
		c10::GradMode::set_enabled(grad_modes.back());
		grad_modes.pop_back();
	});
}

/* ---- process, device ---- */

static int device_count()
{
	return at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
}

static at::Device device(th_device d)
{
	return d.cuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(d.index)) : at::Device(at::kCPU);
}

bool th_has_cuda(void)
{
	return entry([] { return device_count() > 0; });
}

th_device th_device_of(const char *name)
{
	const th_device d = entry([=]() -> th_device {
		const bool any = strcmp(name, "auto") == 0;
		int index = 0, end = 0;

		if (strcmp(name, "cpu") == 0 || (any && device_count() == 0))
			return {0, 0};
		if (!any && strcmp(name, "cuda") != 0)
			TORCH_CHECK(sscanf(name, "cuda:%4d%n", &index, &end) == 1 && !name[end] && index >= 0,
				    "unknown device '", name, "'");
		if (index >= device_count()) {
			char text[128];
			snprintf(text, sizeof text, "no device '%.32s': %s", name,
				 at::hasCUDA() ? "there are too few" : "there is no CUDA here");
			keep_failure(TH_ERR_DEVICE, text);
			return {-1, 0};
		}
		return {1, index};
	});
	if (d.cuda < 0)
		fail();
	return d;
}

const char *th_device_name(th_device d)
{
	static char name[2][16];
	static int turn;

	if (!d.cuda)
		return "cpu";
	turn = !turn;
	snprintf(name[turn], sizeof name[turn], "cuda:%d", d.index);
	return name[turn];
}

static c10::Stream stream_of(at::Device d)
{
	return c10::impl::VirtualGuardImpl(d.type()).getStream(d);
}

void th_device_sync(th_device d)
{
	entry([=] {
		if (!d.cuda)
			return;
		c10::impl::VirtualGuardImpl(at::kCUDA).synchronizeStream(stream_of(device(d)));
	});
}

void th_set_threads(int n)
{
	static int first;

	entry([=] {
		if (!first)
			first = at::get_num_threads();
		at::set_num_threads(n > 0 ? n : first);
	});
}

int th_threads(void)
{
	return entry([] { return at::get_num_threads(); });
}

void th_set_deterministic(bool on)
{
	entry([=] {
		if (on)
			setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8",
			       0); /* cuBLAS is deterministic only with one of these */
		at::globalContext().setDeterministicAlgorithms(on, false);
		at::globalContext().setDeterministicCuDNN(on);
		at::globalContext().setDeterministicFillUninitializedMemory(
		    false); /* it would fill every new tensor with NaN */
	});
}

const char *th_libtorch_version(void)
{
	return TORCH_VERSION;
}

/* ---- making tensors, moving data ---- */

static at::ScalarType scalar_type(th_dtype dtype)
{
	static const at::ScalarType type[] = {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble,
					      at::kLong,  at::kInt,	 at::kByte, at::kBool};
	TORCH_CHECK(dtype >= TH_F32 && dtype <= TH_BOOL, "unknown dtype ", static_cast<int>(dtype));
	return type[dtype];
}

static at::IntArrayRef sizes(int n_dims, const int64_t *shape)
{
	TORCH_CHECK(n_dims >= 0 && n_dims <= TH_MAX_DIMS, "a tensor has 0 to ", TH_MAX_DIMS, " dimensions, not ",
		    n_dims);
	return at::IntArrayRef(shape, static_cast<size_t>(n_dims));
}

static at::TensorOptions options(th_dtype dtype, th_device d)
{
	return at::TensorOptions(scalar_type(dtype)).device(device(d));
}

static std::vector<Tensor> list(th_tensor *const *t, int n)
{
	std::vector<Tensor> all;
	all.reserve(static_cast<size_t>(n));
	for (int i = 0; i < n; i++)
		all.push_back(t[i]->t);
	return all;
}

th_tensor *th_empty(th_dtype dtype, th_device d, int n_dims, const int64_t *shape)
{
	return make([=] { return at::empty(sizes(n_dims, shape), options(dtype, d)); });
}

th_tensor *th_zeros(th_dtype dtype, th_device d, int n_dims, const int64_t *shape)
{
	return make([=] { return at::zeros(sizes(n_dims, shape), options(dtype, d)); });
}

th_tensor *th_full(double value, th_dtype dtype, th_device d, int n_dims, const int64_t *shape)
{
	return make([=] { return at::full(sizes(n_dims, shape), value, options(dtype, d)); });
}

th_tensor *th_arange(int64_t n, th_device d)
{
	return make([=] { return at::arange(n, options(TH_I64, d)); });
}

/*
 * A copy between a CUDA device and ordinary memory makes the host wait until the device has done all that is queued.
 * From and to pinned memory it is queued like any other work. libtorch keeps freed pinned memory for the next tensor,
 * and knows from an event when the last copy out of it is through: so a staging buffer may be dropped at once, and in
 * the steady state none is made anew.
 */
static Tensor empty_beside(at::IntArrayRef shape, at::ScalarType type, bool pinned)
{
	return at::empty(shape, at::TensorOptions(type).device(at::kCPU).pinned_memory(pinned));
}

static Tensor upload(const Tensor &t, at::Device to)
{
	if (!to.is_cuda() || !t.is_cpu() || t.requires_grad())
		return t.to(to);
	return (t.is_pinned() ? t : empty_beside(t.sizes(), t.scalar_type(), true).copy_(t)).to(to, true);
}

th_tensor *th_from_host(const void *data, th_dtype dtype, th_device d, int n_dims, const int64_t *shape)
{
	return make([=] {
		const Tensor t = empty_beside(sizes(n_dims, shape), scalar_type(dtype), d.cuda);
		if (t.numel())
			memcpy(t.data_ptr(), data, t.nbytes());
		return upload(t, device(d));
	});
}

th_tensor *th_zeros_beside(th_dtype dtype, th_device d, int n_dims, const int64_t *shape)
{
	return make([=] { return empty_beside(sizes(n_dims, shape), scalar_type(dtype), d.cuda).zero_(); });
}

void th_to_host(const th_tensor *t, th_dtype dtype, void *data)
{
	entry([=] {
		const Tensor host = t->t.detach().to(scalar_type(dtype)).cpu().contiguous();
		if (host.numel())
			memcpy(data, host.data_ptr(), host.nbytes());
	});
}

double th_item(const th_tensor *t)
{
	return entry([=] { return t->t.item<double>(); });
}

struct th_fetch {
	Tensor host;
	std::optional<c10::Event> event; /* none: it is there */
};

th_fetch *th_fetch_start(const th_tensor *t, th_dtype dtype)
{
	return entry([=] {
		const Tensor from = t->t.detach().to(scalar_type(dtype)).contiguous();
		const bool cuda = from.is_cuda();
		std::unique_ptr<th_fetch> f(new th_fetch{empty_beside(from.sizes(), from.scalar_type(), cuda), {}});
		f->host.copy_(from, cuda);
		if (cuda) {
			f->event.emplace(at::kCUDA);
			f->event->record(stream_of(from.device()));
		}
		return f.release();
	});
}

void th_fetch_end(th_fetch *fetch, void *data)
{
	entry([=] {
		const std::unique_ptr<th_fetch> f(fetch);
		if (f->event)
			f->event->synchronize();
		if (f->host.numel())
			memcpy(data, f->host.data_ptr(), f->host.nbytes());
	});
}

th_tensor *th_to_dtype(th_tensor *t, th_dtype dtype)
{
	return make([=] { return t->t.to(scalar_type(dtype)); });
}

th_tensor *th_to_device(th_tensor *t, th_device d)
{
	return make([=] { return upload(t->t, device(d)); });
}

th_tensor *th_clone(th_tensor *t)
{
	return make([=] { return t->t.clone(); });
}

static void copy(th_tensor *dst, const th_tensor *src, bool later)
{
	entry([=] {
		const at::NoGradGuard guard;
		TORCH_CHECK(dst->t.sizes() == src->t.sizes(), "copy: shapes differ: ", dst->t.sizes(), " and ",
			    src->t.sizes());
		dst->t.copy_(src->t, later);
	});
}

void th_copy_(th_tensor *dst, const th_tensor *src)
{
	copy(dst, src, false);
}

void th_copy_later_(th_tensor *dst, const th_tensor *src)
{
	copy(dst, src, true);
}

void th_copy_all_(th_tensor *const *dst, th_tensor *const *src, int n)
{
	entry([=] {
		const at::NoGradGuard guard;
		if (n > 0)
			at::_foreach_copy_(list(dst, n), list(src, n));
	});
}

void th_round_(th_tensor *dst, const th_tensor *src, th_key key, int64_t start)
{
	entry([=] {
		const at::NoGradGuard guard;
		fused_round(dst->t, src->t, key, start);
	});
}

void th_add_(th_tensor *dst, const th_tensor *src)
{
	entry([=] {
		const at::NoGradGuard guard;
		TORCH_CHECK(dst->t.sizes() == src->t.sizes(), "add: shapes differ: ", dst->t.sizes(), " and ",
			    src->t.sizes());
		dst->t.add_(src->t);
	});
}

void th_zero_(th_tensor *t)
{
	entry([=] {
		const at::NoGradGuard guard;
		t->t.zero_();
	});
}

void th_zero_all_(th_tensor *const *t, int n)
{
	entry([=] {
		const at::NoGradGuard guard;
		if (n > 0)
			at::_foreach_zero_(list(t, n));
	});
}

int th_dim(const th_tensor *t)
{
	return static_cast<int>(t->t.dim());
}

int64_t th_size(const th_tensor *t, int dim)
{
	return entry([=] { return t->t.size(dim); });
}

int64_t th_numel(const th_tensor *t)
{
	return t->t.numel();
}

th_dtype th_dtype_of(const th_tensor *t)
{
	return entry([=] {
		for (int i = TH_F32; i <= TH_BOOL; i++)
			if (scalar_type(static_cast<th_dtype>(i)) == t->t.scalar_type())
				return static_cast<th_dtype>(i);
		TORCH_CHECK(false, "dtype without a name: ", t->t.scalar_type());
	});
}

size_t th_dtype_size(th_dtype dtype)
{
	return entry([=] { return c10::elementSize(scalar_type(dtype)); });
}

/* ---- shape ---- */

th_tensor *th_reshape(th_tensor *t, int n_dims, const int64_t *shape)
{
	return make([=] { return t->t.reshape(sizes(n_dims, shape)); });
}

th_tensor *th_transpose(th_tensor *t, int a, int b)
{
	return make([=] { return t->t.transpose(a, b); });
}

th_tensor *th_contiguous(th_tensor *t)
{
	return make([=] { return t->t.contiguous(); });
}

th_tensor *th_narrow(th_tensor *t, int dim, int64_t start, int64_t length)
{
	return make([=] { return t->t.narrow(dim, start, length); });
}

th_tensor *th_cat(th_tensor *const *t, int n, int dim)
{
	return make([=] { return at::cat(list(t, n), dim); });
}

th_tensor *th_index_select(th_tensor *t, int dim, th_tensor *index)
{
	return make([=] { return t->t.index_select(dim, index->t); });
}

/* ---- element-wise and reductions ---- */

th_tensor *th_add(th_tensor *a, th_tensor *b)
{
	return make([=] { return a->t.add(b->t); });
}

th_tensor *th_sub(th_tensor *a, th_tensor *b)
{
	return make([=] { return a->t.sub(b->t); });
}

th_tensor *th_mul(th_tensor *a, th_tensor *b)
{
	return make([=] { return a->t.mul(b->t); });
}

th_tensor *th_div(th_tensor *a, th_tensor *b)
{
	return make([=] { return a->t.div(b->t); });
}

th_tensor *th_scale(th_tensor *a, double factor)
{
	return make([=] { return a->t.mul(factor); });
}

th_tensor *th_add_scalar(th_tensor *a, double term)
{
	return make([=] { return a->t.add(term); });
}

th_tensor *th_tanh(th_tensor *a)
{
	return make([=] { return a->t.tanh(); });
}

th_tensor *th_relu(th_tensor *a)
{
	return make([=] { return a->t.relu(); });
}

th_tensor *th_silu(th_tensor *a)
{
	return make([=] { return at::silu(a->t); });
}

th_tensor *th_gelu(th_tensor *a)
{
	return make([=] { return at::gelu(a->t); });
}

th_tensor *th_gelu_tanh(th_tensor *a)
{
	return make([=] { return fused_gelu_tanh(a->t); });
}

th_tensor *th_swiglu(th_tensor *gate, th_tensor *up)
{
	return make([=] { return fused_swiglu(gate->t, up->t); });
}

th_tensor *th_sum(th_tensor *a)
{
	return make([=] { return a->t.sum(); });
}

th_tensor *th_sum_dim(th_tensor *a, int dim, bool keep)
{
	return make([=] { return a->t.sum(dim, keep); });
}

th_tensor *th_mean_dim(th_tensor *a, int dim, bool keep)
{
	return make([=] { return a->t.mean(dim, keep); });
}

th_tensor *th_norm_dim(th_tensor *a, int dim, bool keep)
{
	return make([=] { return at::linalg_vector_norm(a->t, 2, dim, keep); });
}

th_tensor *th_softmax(th_tensor *a, int dim)
{
	return make([=] { return a->t.softmax(dim); });
}

th_tensor *th_log_softmax(th_tensor *a, int dim)
{
	return make([=] { return a->t.log_softmax(dim); });
}

th_tensor *th_argmax(th_tensor *a, int dim)
{
	return make([=] { return a->t.argmax(dim); });
}

bool th_all_finite(const th_tensor *a)
{
	return entry([=] { return at::isfinite(a->t).all().item<bool>(); });
}

th_tensor *th_not_finite(const th_tensor *a)
{
	return make([=] { return at::isfinite(a->t.detach()).all().logical_not().to(at::kFloat); });
}

/* ---- layers ---- */

th_tensor *th_matmul(th_tensor *a, th_tensor *b)
{
	return make([=] { return a->t.matmul(b->t); });
}

th_tensor *th_linear(th_tensor *x, th_tensor *w, th_tensor *b)
{
	return make([=] { return fused_linear(x->t, w->t, b ? b->t : Tensor()); });
}

bool th_has_bf16x3(th_device d)
{
	return entry([=] { return fused_has_bf16x3(device(d)); });
}

th_tensor *th_bf16x3_weights(const th_tensor *w)
{
	return make([=] { return fused_bf16x3_weights(w->t); });
}

th_tensor *th_linear_bf16x3(th_tensor *x, const th_tensor *w, const th_tensor *b)
{
	return make([=] { return fused_linear_bf16x3(x->t, w->t, b->t, false); });
}

th_tensor *th_gelu_linear_bf16x3(th_tensor *x, const th_tensor *w, const th_tensor *b)
{
	return make([=] { return fused_linear_bf16x3(x->t, w->t, b->t, true); });
}

/* product makes (n, O) of rows (n, I). */
template <class F> static th_tensor *affine(th_tensor *x, th_tensor *w, th_tensor *b, const F &product)
{
	return make([&] {
		TORCH_CHECK(w->t.dim() == 2 && x->t.dim() >= 1 && x->t.size(-1) == w->t.size(0),
			    "affine: shapes do not fit: x ", x->t.sizes(), ", w ", w->t.sizes());
		std::vector<int64_t> shape = x->t.sizes().vec();
		shape.back() = w->t.size(1);
		return product(x->t.reshape({-1, w->t.size(0)}), w->t, b ? b->t : Tensor()).view(shape);
	});
}

th_tensor *th_affine(th_tensor *x, th_tensor *w, th_tensor *b)
{
	return affine(x, w, b, fused_affine);
}

th_tensor *th_gelu_tanh_affine(th_tensor *x, th_tensor *w, th_tensor *b)
{
	return affine(x, w, b, fused_gelu_tanh_affine);
}

th_tensor *th_embedding(th_tensor *w, th_tensor *id, int64_t padding)
{
	return make([=] { return fused_embedding(w->t, id->t, padding); });
}

th_tensor *th_layer_norm(th_tensor *x, th_tensor *w, th_tensor *b, double eps)
{
	return make([=] {
		const at::ScalarType type = x->t.scalar_type();
		return at::layer_norm(x->t, {x->t.size(-1)}, w->t.to(type), b ? b->t.to(type) : Tensor(), eps);
	});
}

th_tensor *th_rms_norm(th_tensor *x, th_tensor *w, double eps)
{
	return make([=] { return fused_rms_norm(x->t, w->t.to(x->t.scalar_type()), eps); });
}

th_tensor *th_dropout(th_tensor *x, double p, th_key key)
{
	return make([=] { return fused_dropout(x->t, p, key); });
}

th_tensor *th_rope(th_tensor *x, th_tensor *table)
{
	return make([=] { return fused_rope(x->t, table->t); });
}

th_tensor *th_attention(th_tensor *q, th_tensor *k, th_tensor *v, bool causal, th_tensor *length, double scale,
			double p, th_key key)
{
	return make(
	    [=] { return fused_attention(q->t, k->t, v->t, causal, length ? length->t : Tensor(), scale, p, key); });
}

th_tensor *th_attention_packed(th_tensor *x, int heads, int key_heads, bool causal, th_tensor *length, double scale,
			       double p, th_key key)
{
	return make([=] {
		return fused_attention_packed(x->t, heads, key_heads, causal, length ? length->t : Tensor(), scale, p,
					      key);
	});
}

th_tensor *th_cross_entropy_sum(th_tensor *logits, th_tensor *target)
{
	return make([=] {
		const Tensor &x = logits->t, &y = target->t;
		TORCH_CHECK(x.dim() == 2 && y.dim() == 1 && x.size(0) == y.size(0),
			    "cross entropy: shapes do not fit: logits ", x.sizes(), ", target ", y.sizes());
		const Tensor seen = x.masked_fill(y.lt(0).unsqueeze(1), 0); /* 0 times what is ignored may be NaN */
		const Tensor log_p = seen.log_softmax(1, x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
		const Tensor hit = log_p.gather(1, y.clamp_min(0).unsqueeze(1)).squeeze(1);
		return hit.mul(y.ge(0)).sum().neg();
	});
}

th_tensor *th_linear_cross_entropy(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target, double scale)
{
	return make([=] { return fused_linear_cross_entropy(h->t, w->t, b ? b->t : Tensor(), target->t, scale); });
}

th_tensor *th_linear_nll(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target)
{
	return make([=] { return fused_linear_nll(h->t, w->t, b ? b->t : Tensor(), target->t); });
}

th_tensor *th_linear_rank(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target)
{
	return make([=] { return fused_linear_rank(h->t, w->t, b ? b->t : Tensor(), target->t); });
}

/* ---- gradients ---- */

th_tensor *th_requires_grad(th_tensor *t, bool on)
{
	return entry([=] {
		t->t.requires_grad_(on);
		return t;
	});
}

void th_backward(th_tensor *loss)
{
	entry([=] { torch::autograd::backward({loss->t}, {}); });
}

th_tensor *th_grad(th_tensor *t)
{
	return entry([=] {
		Tensor &grad = t->t.mutable_grad();
		if (grad.defined() && grad.is_sparse())
			grad = grad.to_dense();
		return grad.defined() ? handle(grad) : nullptr;
	});
}

bool th_grad_is_rows(const th_tensor *t)
{
	return entry([=] { return t->t.grad().defined() && t->t.grad().is_sparse(); });
}

void th_move_grad(th_tensor *sum, th_tensor *t)
{
	entry([=] {
		const at::NoGradGuard guard;
		Tensor &grad = t->t.mutable_grad();
		if (!grad.defined())
			return;
		TORCH_CHECK(sum->t.sizes() == grad.sizes(), "gradient: shapes differ: ", sum->t.sizes(), " and ", grad.sizes());
		fused_add_grad(sum->t, grad);
		grad = Tensor();
	});
}

void th_set_grad(th_tensor *t, th_tensor *grad)
{
	entry([=] { t->t.mutable_grad() = grad ? grad->t : Tensor(); });
}

th_tensor *th_detach(th_tensor *t)
{
	return make([=] { return t->t.detach(); });
}

Tensor call_function(th_function *f, void *context, const std::vector<Tensor> &in)
{
	std::vector<th_tensor *> handles;

	th_scope_open();
	for (const Tensor &t : in)
		handles.push_back(handle(t));
	const Tensor out = f(context, handles.data(), static_cast<int>(handles.size()))->t;
	th_scope_close();
	return out;
}

th_tensor *th_checkpoint(th_function *f, void *context, th_tensor *const *in, int n)
{
	return make([=] { return fused_checkpoint(f, context, list(in, n)); });
}

/* ---- captured graphs ---- */

bool th_graph_possible(th_device d)
{
	return d.cuda && entry([] { return graph_possible(); });
}

th_graph *th_graph_record(th_device d, void (*body)(void *context), void *context)
{
	return entry([=] { return graph_record(device(d), body, context); });
}

void th_graph_replay(th_graph *g, th_device d, th_key key)
{
	entry([=] {
		if (d.cuda)
			fused_seed(device(d), key);
		graph_replay(g);
	});
}

void th_graph_free(th_graph *g)
{
	entry([=] { graph_free(g); });
}

/* ---- optimiser ---- */

void th_adamw_step(th_tensor *const *param, th_tensor *const *grad, th_tensor *const *m, th_tensor *const *v,
		   th_tensor *const *copy, int n, const th_adamw *opt)
{
	entry([=] {
		const at::NoGradGuard guard;
		std::vector<Tensor> copies(static_cast<size_t>(n));
		for (int i = 0; copy && i < n; i++)
			if (copy[i])
				copies[static_cast<size_t>(i)] = copy[i]->t;
		fused_adamw({list(param, n), list(grad, n), list(m, n), list(v, n), copies},
			    opt->norm ? opt->norm->t : Tensor(), opt->skip ? opt->skip->t : Tensor(), *opt);
	});
}

th_tensor *th_grad_norm(th_tensor *const *grad, int n)
{
	return make([=] {
		const at::NoGradGuard guard;
		return fused_norm(list(grad, n));
	});
}
