/* relay/filter/extent.c - how much a snapshot lets out */
#include "relay/filter/extent.h"

#include "relay/filter/snapshot.h"

static void count_deny(const struct layer_item *item, struct extent *extent)
{
	extent->denied++;
	extent->denies_all |= item->kind == ENTRY_ALL && item->scope_len == 0;
}

static void count_allow(const struct layer_item *item, struct extent *extent)
{
	switch ((enum entry_kind)item->kind) {
	case ENTRY_EXACT: extent->addresses++; break;
	case ENTRY_DOMAIN: extent->domains++; break;
	case ENTRY_SUBDOMAIN: extent->subdomains++; break;
	case ENTRY_GLOB: extent->patterns++; break;
	case ENTRY_ALL: extent->all = true; break;
	}
}

static void count_item(const struct layer_item *item, int64_t now, struct extent *extent)
{
	if (item->expires_at != 0 && item->expires_at <= now)
		return;
	if (item->expires_at != 0 && item->expires_at < extent->until)
		extent->until = item->expires_at;
	if (item->action == ENTRY_DENY)
		count_deny(item, extent);
	else
		count_allow(item, extent);
}

void snapshot_extent(const struct whitelist_snapshot *snapshot, int64_t now,
		     struct extent *extent_out)
{
	*extent_out = (struct extent){.until = INT64_MAX};
	for (size_t at = 0; at < snapshot->layer_count; at++) {
		const struct layer *layer = snapshot->layers[at]->layer;

		for (size_t i = 0; i < layer_entries(layer); i++) {
			const struct layer_item *item = layer_entry(layer, i);

			if (!snapshot_buries(snapshot, at, item->id))
				count_item(item, now, extent_out);
		}
	}
}

bool extent_is_empty(const struct extent *extent)
{
	return extent->denies_all ||
	       (!extent->all &&
		extent->addresses + extent->domains + extent->subdomains + extent->patterns == 0);
}
