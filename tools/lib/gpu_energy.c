#include "gpu_energy.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"

/* From nvml.h, whose ABI is stable: results are 0 for success. */
struct nvml_device;
static struct {
	int (*init)(void);
	int (*shutdown)(void);
	int (*count)(unsigned *n);
	int (*by_index)(unsigned index, struct nvml_device **device);
	int (*uuid)(struct nvml_device *device, char *text, unsigned size);
	int (*energy)(struct nvml_device *device, unsigned long long *millijoules); /* since the driver was loaded */
} nvml;

#define MAX_GPUS 64
#define UUID_BYTES 96

static struct {
	struct nvml_device *device;
	unsigned long long first;
} gpus[MAX_GPUS];
static int n_gpus;
static bool begun;

static bool load(void)
{
	static const struct {
		const char *name;
		void **function;
	} symbol[] = {
		{"nvmlInit_v2", (void **)&nvml.init},
		{"nvmlShutdown", (void **)&nvml.shutdown},
		{"nvmlDeviceGetCount_v2", (void **)&nvml.count},
		{"nvmlDeviceGetHandleByIndex_v2", (void **)&nvml.by_index},
		{"nvmlDeviceGetUUID", (void **)&nvml.uuid},
		{"nvmlDeviceGetTotalEnergyConsumption", (void **)&nvml.energy},
	};

	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL); /* stays, for the program's life */

	for (size_t i = 0; library && i < sizeof symbol / sizeof *symbol; i++)
		if (!(*symbol[i].function = dlsym(library, symbol[i].name)))
			return false;
	begun = library && nvml.init() == 0;
	return begun;
}

/* An entry of CUDA_VISIBLE_DEVICES: a number, or the beginning of a UUID. */
static bool is_meant(const char *entry, unsigned index, struct nvml_device *device)
{
	char uuid[UUID_BYTES];
	int64_t i;

	if (parse_i64(entry, &i))
		return i == index;
	return strncmp(entry, "GPU-", 4) == 0 && nvml.uuid(device, uuid, sizeof uuid) == 0 && strncmp(uuid, entry, strlen(entry)) == 0;
}

/* What comes after an entry that is no device does not count, as CUDA has it. n: devices there are */
static bool ends_list(const char *entry, unsigned n)
{
	int64_t i;

	return parse_i64(entry, &i) ? i < 0 || i >= (int64_t)n : strncmp(entry, "GPU-", 4) != 0;
}

static bool is_visible(const char *list, unsigned index, unsigned n, struct nvml_device *device)
{
	char *copy = list ? xstrdup(list) : NULL, *save = NULL;
	bool visible = !list;

	for (char *s = copy ? strtok_r(copy, ", ", &save) : NULL; s && !visible && !ends_list(s, n); s = strtok_r(NULL, ", ", &save))
		visible = is_meant(s, index, device);
	free(copy);
	return visible;
}

int gpu_energy_begin(void)
{
	unsigned n = 0;

	if (!load() || nvml.count(&n) != 0)
		return 0;
	for (unsigned i = 0; i < n && n_gpus < MAX_GPUS; i++) {
		struct nvml_device *device;

		if (nvml.by_index(i, &device) == 0 && is_visible(getenv("CUDA_VISIBLE_DEVICES"), i, n, device) &&
		    nvml.energy(device, &gpus[n_gpus].first) == 0)
			gpus[n_gpus++].device = device;
	}
	return n_gpus;
}

bool gpu_energy_end(double *joules)
{
	bool known = true;

	*joules = 0;
	for (int i = 0; i < n_gpus; i++) {
		unsigned long long now;

		if (nvml.energy(gpus[i].device, &now) == 0 && now >= gpus[i].first)
			*joules += (double)(now - gpus[i].first) / 1000;
		else
			known = false;
	}
	n_gpus = 0;
	if (begun)
		nvml.shutdown();
	begun = false;
	return known;
}
