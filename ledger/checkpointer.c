/* ledger/checkpointer.c - see checkpointer.h. */
#include "ledger/checkpointer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/thread.h"
#include "ledger/schema.h"

enum state {
	STATE_IDLE = 0,
	STATE_BEGUN,
	STATE_ENDED,
};

struct checkpointer {
	sqlite3 *db;
	struct checkpoint round; /* the thread's while it is begun, else the writer's */
	_Atomic int state;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	bool stopping; /* under lock */
};

static void note_result(struct checkpoint *checkpoint, int rc)
{
	checkpoint->rc = rc;
	checkpoint->lost = rc == SQLITE_IOERR_FSYNC;
}

struct checkpoint checkpoint_run(sqlite3 *db)
{
	struct checkpoint checkpoint;

	note_result(&checkpoint, sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE,
				     &checkpoint.log_pages, &checkpoint.copied_pages));
	return checkpoint;
}

static void sync_database(struct checkpoint *checkpoint, sqlite3 *db)
{
	sqlite3_file *file = NULL;
	int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

	must(rc == SQLITE_OK && file != NULL && file->pMethods != NULL);
	note_result(checkpoint, file->pMethods->xSync(file, SQLITE_SYNC_NORMAL));
}

static void run_round(struct checkpointer *checkpointer)
{
	struct checkpoint *round = &checkpointer->round;

	FAULT_POINT("round");
	*round = checkpoint_run(checkpointer->db);
	FAULT_POINT("round copied");
	if (round->rc == SQLITE_OK)
		sync_database(round, checkpointer->db);
	FAULT_POINT("round done");
}

/* False: the end. */
static bool wait_for_round(struct checkpointer *checkpointer)
{
	bool stopping;

	pthread_mutex_lock(&checkpointer->lock);
	while (atomic_load(&checkpointer->state) != STATE_BEGUN && !checkpointer->stopping)
		pthread_cond_wait(&checkpointer->wake, &checkpointer->lock);
	stopping = checkpointer->stopping;
	pthread_mutex_unlock(&checkpointer->lock);
	return !stopping;
}

static void *checkpointer_main(void *arg)
{
	struct checkpointer *checkpointer = arg;

	(void)pthread_setname_np(pthread_self(), "tw-checkpointer");
	while (wait_for_round(checkpointer)) {
		run_round(checkpointer);
		pthread_mutex_lock(&checkpointer->lock);
		atomic_store(&checkpointer->state, STATE_ENDED);
		pthread_cond_signal(&checkpointer->ended);
		pthread_mutex_unlock(&checkpointer->lock);
	}
	return NULL;
}

static void checkpointer_free(struct checkpointer **checkpointer)
{
	pthread_cond_destroy(&(*checkpointer)->wake);
	pthread_cond_destroy(&(*checkpointer)->ended);
	pthread_mutex_destroy(&(*checkpointer)->lock);
	sqlite3_close((*checkpointer)->db);
	free(*checkpointer);
	*checkpointer = NULL;
}

enum store_result checkpointer_start(struct checkpointer **out, char reason[256], const char *path)
{
	struct checkpointer *checkpointer;
	sqlite3 *db;
	enum store_result result = schema_connect(&db, reason, path, false);

	if (result != STORE_OK)
		return result;
	checkpointer = must_calloc(1, sizeof(*checkpointer));
	checkpointer->db = db;
	must(pthread_mutex_init(&checkpointer->lock, NULL) == 0);
	must(pthread_cond_init(&checkpointer->wake, NULL) == 0);
	must(pthread_cond_init(&checkpointer->ended, NULL) == 0);
	if (thread_start(&checkpointer->thread, checkpointer_main, checkpointer)) {
		*out = checkpointer;
		return STORE_OK;
	}
	snprintf(reason, 256, "cannot start the thread that makes checkpoints of the ledger");
	checkpointer_free(&checkpointer);
	return STORE_BROKEN;
}

void checkpointer_stop(struct checkpointer **checkpointer, struct checkpoint *last)
{
	pthread_mutex_lock(&(*checkpointer)->lock);
	(*checkpointer)->stopping = true;
	pthread_cond_signal(&(*checkpointer)->wake);
	pthread_mutex_unlock(&(*checkpointer)->lock);
	must(pthread_join((*checkpointer)->thread, NULL) == 0);
	if (!checkpointer_ended(*checkpointer, last))
		*last = (struct checkpoint){.rc = SQLITE_OK};
	checkpointer_free(checkpointer);
}

bool checkpointer_is_busy(const struct checkpointer *checkpointer)
{
	return atomic_load(&checkpointer->state) != STATE_IDLE;
}

void checkpointer_begin(struct checkpointer *checkpointer)
{
	must(!checkpointer_is_busy(checkpointer));
	pthread_mutex_lock(&checkpointer->lock);
	atomic_store(&checkpointer->state, STATE_BEGUN);
	pthread_cond_signal(&checkpointer->wake);
	pthread_mutex_unlock(&checkpointer->lock);
}

bool checkpointer_ended(struct checkpointer *checkpointer, struct checkpoint *out)
{
	if (atomic_load(&checkpointer->state) != STATE_ENDED)
		return false;
	*out = checkpointer->round;
	atomic_store(&checkpointer->state, STATE_IDLE);
	return true;
}

void checkpointer_wait(struct checkpointer *checkpointer)
{
	pthread_mutex_lock(&checkpointer->lock);
	while (atomic_load(&checkpointer->state) == STATE_BEGUN)
		pthread_cond_wait(&checkpointer->ended, &checkpointer->lock);
	pthread_mutex_unlock(&checkpointer->lock);
}
