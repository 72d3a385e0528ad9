/* memory.cpp: where tensors of the CPU get their memory: from malloc(), which keeps what it has. */
#include <cstdint>
#include <cstdlib>
#include <malloc.h>

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

namespace {

/*
 * libtorch's own takes aligned memory of malloc(): in glibc a piece that is freed is then too small for the next one of
 * its size, by what might have to be left in front, so that memory grows beyond what is in use (ppl-eval of GPT-2
 * small: by 190 MB).
 */
struct Memory final : c10::Allocator {
	enum { ALIGN = 64 };

	c10::DataPtr allocate(size_t n) override
	{
		char *p = n > SIZE_MAX - ALIGN - sizeof p ? nullptr : static_cast<char *>(malloc(n + ALIGN + sizeof p));

		TORCH_CHECK(p, "out of memory: cannot allocate ", n, " bytes");
		void **data = reinterpret_cast<void **>((reinterpret_cast<uintptr_t>(p) + sizeof p + ALIGN - 1) / ALIGN * ALIGN);
		data[-1] = p;
		return {data, data, release, c10::Device(c10::kCPU)};
	}

	static void release(void *data)
	{
		if (data)
			free(static_cast<void **>(data)[-1]);
	}

	c10::DeleterFnPtr raw_deleter() const override
	{
		return release;
	}

	void copy_data(void *to, const void *from, std::size_t n) const override
	{
		default_copy_data(to, from, n);
	}
} memory;

}

/*
 * glibc gives what is over 32 MB back to the system at once: each step then pays again for the kernel clearing its
 * pages (9 % of a step with a vocabulary of 50257). Keep the memory instead.
 */
__attribute__((constructor)) static void keep_memory()
{
#if defined __GLIBC__
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, -1); /* never */
	mallopt(M_TOP_PAD, 64 << 20);
#endif
	c10::SetCPUAllocator(&memory);
}
