#include "nn/runtime.h"

#include <string.h>

#include "lib/die.h"
#include "lib/progress.h"

static const char *error_note = "";

void nn_error_note(const char *note)
{
	error_note = note;
}

static void on_error(th_error kind, const char *message)
{
	progress_clear();
	if (kind == TH_ERR_DEVICE || kind == TH_ERR_MEMORY)
		die_device("%s%s", message, error_note);
	die("%s%s", message, error_note);
}

static bool is_device(const char *name)
{
	size_t digits = strncmp(name, "cuda:", 5) == 0 ? strspn(name + 5, "0123456789") : 0;

	return strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0 || strcmp(name, "cuda") == 0 ||
	       (digits >= 1 && digits <= 4 && !name[5 + digits]);
}

th_device nn_start(const char *device, int64_t threads)
{
	if (!is_device(device))
		die_usage("unknown device '%s': not auto, cpu, cuda or cuda:N", device);
	th_on_error(on_error);
	th_set_threads((int)threads);
	th_set_deterministic(true);
	return th_device_of(device);
}
