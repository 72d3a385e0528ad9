/*
 * graph.cpp: work of a CUDA device captured once and launched as one piece.
 *
 * The only file that needs CUDA's own headers: the Makefile looks for them beside libtorch, and defines
 * HAVE_CUDA_HEADERS. Without, there are no graphs, and all else is the same.
 */
#include "graph.h"

#ifdef HAVE_CUDA_HEADERS
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif
#include <c10/util/Exception.h>

#include <memory>

struct th_graph {
	void (*body)(void *context);
	void *context;
#ifdef HAVE_CUDA_HEADERS
	std::unique_ptr<at::cuda::CUDAGraph> graph; /* none: on the cpu */
#endif
};

static bool recording;

bool graph_is_recording()
{
	return recording;
}

#ifdef HAVE_CUDA_HEADERS

/* The headers found may be another CUDA's than libtorch was built with, and from 12.4 on the class above has more members. */
bool graph_possible()
{
	const at::CUDAHooksInterface &hooks = at::detail::getCUDAHooks();
	const long version = hooks.hasCUDA() ? hooks.versionCUDART() : 0;
	return version / 1000 == CUDART_VERSION / 1000 && (version >= 12040) == (CUDART_VERSION >= 12040);
}

/*
 * As torch.cuda.graph() and its documentation have it: the body runs a few times on a stream of its own, where cuBLAS
 * makes its handles and workspaces, one for each thread and so for autograd's too; what the allocator holds for that is
 * given back; then the body is captured on the same stream. What it allocates then comes from a pool of the graph's
 * own, so that no other tensor is ever at those addresses.
 */
static void capture(th_graph *g, c10::Device device)
{
	const int warm_ups = 3;
	const c10::cuda::CUDAGuard on_device(device);
	const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool(false, device.index());
	struct flag {
		flag() { recording = true; }
		~flag() { recording = false; }
	} guard;

	c10::cuda::device_synchronize();
	{
		const c10::cuda::CUDAStreamGuard on_side(side);
		for (int i = 0; i < warm_ups; i++)
			g->body(g->context);
		c10::cuda::device_synchronize();
		c10::cuda::CUDACachingAllocator::emptyCache();
		g->graph.reset(new at::cuda::CUDAGraph);
		g->graph->capture_begin();
		g->body(g->context);
		g->graph->capture_end();
	}
	c10::cuda::device_synchronize();
}

/*
 * On the stream of all other work, so in its place among it. libtorch first writes the generator's seed to where the
 * graph's kernels read it.
 */
void graph_replay(th_graph *g)
{
	if (g->graph)
		g->graph->replay();
	else
		g->body(g->context);
}

#else

bool graph_possible()
{
	return false;
}

static void capture(th_graph *, c10::Device)
{
	TORCH_CHECK(false, "no captured graphs: built without CUDA's headers");
}

void graph_replay(th_graph *g)
{
	g->body(g->context);
}

#endif

th_graph *graph_record(c10::Device device, void (*body)(void *context), void *context)
{
	std::unique_ptr<th_graph> g(new th_graph{body, context});
	if (device.is_cuda())
		capture(g.get(), device);
	return g.release();
}

void graph_free(th_graph *g)
{
	delete g;
}
