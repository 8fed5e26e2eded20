/* ledger/store_parts.h - what a store is made of; for this room only. */
#ifndef LEDGER_STORE_PARTS_H
#define LEDGER_STORE_PARTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "ledger/head.h"
#include "ledger/reader.h"
#include "ledger/writer.h"

struct store {
	char *dir;
	int lock_fd;
	_Atomic int64_t last_id;
	struct writer *writer;
	struct readers *readers;
	struct head_slot *slot; /* the writer's; NULL: not written to */
	/* What DIR/head said when the store was opened; "" when it was in order. */
	char behind[256], slot_damage[256];
};

/** True, with reason, when DIR/head was damaged when the store was opened. It has been
 * written anew since, so this is the only trace of it. */
bool store_slot_damaged(const struct store *store, char reason[256]);

#endif
