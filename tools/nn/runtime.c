#include "nn/runtime.h"

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

th_device nn_start(const char *device, int64_t threads)
{
	th_on_error(on_error);
	th_set_threads((int)threads);
	th_set_deterministic(true);
	return th_device_of(device);
}
