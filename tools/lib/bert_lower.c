#include "bert_chars.h"

uint32_t bert_to_lower(uint32_t c)
{
	int low = 0, high = bert_n_lower;

	while (low < high) {
		int mid = (low + high) / 2;

		if (c > bert_lower[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == bert_n_lower || c < bert_lower[low].first || (c - bert_lower[low].first) % (uint32_t)bert_lower[low].step)
		return c;
	return (uint32_t)((int32_t)c + bert_lower[low].delta);
}
