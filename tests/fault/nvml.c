/*
 * NVIDIA's management library as far as job-meter asks it, with the counter of GPU i in the file $FAKE_NVML/i (millijoules;
 * "-": a GPU without one). FAKE_NVML_INIT: what the start answers.
 */
#include <stdio.h>
#include <stdlib.h>

#define SUCCESS 0
#define NOT_SUPPORTED 3
#define NOT_FOUND 6

static FILE *counter(unsigned i)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%u", getenv("FAKE_NVML"), i);
	return fopen(path, "r");
}

int nvmlInit_v2(void);
int nvmlInit_v2(void)
{
	return getenv("FAKE_NVML_INIT") ? atoi(getenv("FAKE_NVML_INIT")) : SUCCESS;
}

int nvmlShutdown(void);
int nvmlShutdown(void)
{
	return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *n);
int nvmlDeviceGetCount_v2(unsigned *n)
{
	FILE *f;

	for (*n = 0; (f = counter(*n)); ++*n)
		fclose(f);
	return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device);
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device)
{
	static char place[64];

	*device = &place[i % 64];
	return SUCCESS;
}

static unsigned index_of(void *device)
{
	void *first;

	nvmlDeviceGetHandleByIndex_v2(0, &first);
	return (unsigned)((char *)device - (char *)first);
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned size);
int nvmlDeviceGetUUID(void *device, char *text, unsigned size)
{
	snprintf(text, size, "GPU-%uf00-0000", index_of(device));
	return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules)
{
	FILE *f = counter(index_of(device));
	int n = f ? fscanf(f, "%llu", millijoules) : -1;

	if (f)
		fclose(f);
	return !f ? NOT_FOUND : n == 1 ? SUCCESS : NOT_SUPPORTED;
}
