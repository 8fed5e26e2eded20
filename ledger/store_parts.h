/* ledger/store_parts.h - what a store is made of; for this room only. */
#ifndef LEDGER_STORE_PARTS_H
#define LEDGER_STORE_PARTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "ledger/reader.h"
#include "ledger/writer.h"

struct store {
	int lock_fd;
	_Atomic int64_t last_id;
	struct writer *writer;
	struct readers *readers;
};

#endif
