/* admin/traffic.c - the requests to the API itself, counted */
#include "admin/traffic.h"

void traffic_add(struct traffic *traffic, int status, int64_t took_us)
{
	if (status < 100 || status >= 600)
		return; /* the peer was gone before there was an answer */
	atomic_fetch_add_explicit(&traffic->answers[status / 100 - 1], 1, memory_order_relaxed);
	if (took_us >= 0)
		histogram_add(&traffic->took, &histogram_prompt, took_us);
}
