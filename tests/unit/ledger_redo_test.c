/* ledger_redo_test - DIR/redo: its ring against a plain list, its damage, and what a process that
 * was killed has left in it for the next. */
#include "tests/unit/ledger_world.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/file.h"
#include "ledger/redo.h"

#define FILE_MAX ((size_t)8 << 20)

/* --- batches as bytes --------------------------------------------------- */

static struct batch *batch_of_all(void)
{
	struct world world = {.agent = 7};
	struct journal_row refund = world_journal_row(&world, JOURNAL_REFUND, 12);
	struct batch *batch = batch_new(WORLD_START);

	world_add_sign(&world, batch, 5, 6, 77);
	refund.payment = 6;
	refund.from_spent = true;
	refund.note = "";
	batch_journal(batch, &refund);
	batch_agent(batch, &(struct agent_row){.id = 1, .name = "a", .owner = "o", .address = "x"});
	batch_agent_address(batch, 2, 1, "0x1");
	batch_agent_state(batch, 3, 1, true);
	batch_policy(batch, 4, 1, "{}");
	batch_tool(
	    batch, &(struct tool_row){.id = 5, .name = "t", .url = "u", .billing = TOOL_X402});
	batch_token(batch, &(struct token_row){.id = 6, .session = "s", .agent = 1});
	batch_token_revoked(batch, 7, "s");
	batch_network(batch, &(struct network_row){.id = 8, .network = "n", .rpc = ""});
	batch_payment_state(batch,
	    &(struct payment_state_row){
		.id = 9, .payment = 6, .state = PAYMENT_SETTLED, .by = "receipt", .receipt = "{}"});
	batch_evidence(batch,
	    &(struct evidence_row){
		.id = 10, .payment = 6, .log_index = -1, .network = "n", .block = INT64_MAX});
	batch_delivery(batch, &(struct delivery_row){.id = 11, .tool = "t", .reason = ""});
	batch_setting(batch, 12, "name", "body");
	batch_audit(batch, &(struct audit_row){.id = 13, .has_response_digest = true});
	batch_idempotency(batch, &(struct idempotency_row){.agent = 1, .key = "k"});
	batch_answer(batch,
	    &(struct answer_row){.call = 13, .headers = "[]", .body = "a\0b", .body_size = 3});
	return batch;
}

static unsigned char *encode(size_t *size, const struct batch *batch)
{
	unsigned char *bytes;

	*size = batch_encoded_size(batch);
	bytes = malloc(*size);
	assert_non_null(bytes);
	batch_encode(bytes, batch);
	return bytes;
}

static void a_batch_comes_back(void **state)
{
	struct batch *batch = batch_of_all(), *again;
	size_t size, size_again;
	unsigned char *bytes = encode(&size, batch), *bytes_again;

	(void)state;
	again = batch_decode(bytes, size);
	assert_non_null(again);
	bytes_again = encode(&size_again, again);
	assert_int_equal(size, size_again);
	assert_memory_equal(bytes, bytes_again, size);
	assert_int_equal(again->now_us, WORLD_START);
	/* The writer looks at the row, not at the values. */
	assert_int_equal(again->first->journal->event, JOURNAL_SIGN);
	assert_int_equal(again->first->journal->amount, 77);
	assert_string_equal(again->first->journal->agent_name, "coding-agent-01");
	assert_null(again->first->journal->note);
	batch_free(&batch);
	batch_free(&again);
	free(bytes);
	free(bytes_again);
}

/* Each prefix is refused; a changed byte is refused or read as another batch, and no harm done. */
static void other_bytes_are_no_batch(void **state)
{
	struct batch *batch = batch_of_all();
	size_t size;
	unsigned char *bytes = encode(&size, batch);

	(void)state;
	for (size_t i = 0; i < size; i++) {
		/* A piece of its own, so that a read past its end is seen. */
		unsigned char *piece = malloc(i + 1);
		struct batch *read;

		assert_non_null(piece);
		memcpy(piece, bytes, i);
		assert_null(batch_decode(piece, i));
		free(piece);
		for (int change = 1; change < 256; change += 37) {
			bytes[i] ^= (unsigned char)change;
			read = batch_decode(bytes, size);
			batch_free(&read);
			bytes[i] ^= (unsigned char)change;
		}
	}
	bytes = realloc(bytes, size + 1);
	assert_non_null(bytes);
	bytes[size] = 0;
	assert_null(batch_decode(bytes, size + 1));
	batch_free(&batch);
	free(bytes);
}

static void a_journal_row_without_its_names_is_none(void **state)
{
	struct world world = {.agent = 7};
	struct journal_row row = world_journal_row(&world, JOURNAL_DEPOSIT, 1);
	const char **names[] = {&row.agent_name, &row.network, &row.asset, &row.symbol};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		const char *name = *names[i];
		struct batch *batch = batch_new(1);
		unsigned char *bytes;
		size_t size;

		*names[i] = NULL;
		batch_journal(batch, &row);
		*names[i] = name;
		bytes = encode(&size, batch);
		assert_null(batch_decode(bytes, size));
		batch_free(&batch);
		free(bytes);
	}
}

/* --- the ring ------------------------------------------------------------- */

struct told {
	int64_t ids[20000];
	size_t count;
};

static void tell(struct batch *batch, void *arg)
{
	struct told *told = arg;

	assert_true(told->count < COUNT(told->ids));
	told->ids[told->count++] = batch->now_us;
	batch_free(&batch);
}

/* A batch that is known by its time, of about that many bytes. */
static struct batch *numbered(int64_t number, size_t size)
{
	struct batch *batch = batch_new(number);
	char *body = malloc(size + 1);

	assert_non_null(body);
	memset(body, 'x', size);
	body[size] = '\0';
	batch_setting(batch, number, "s", body);
	free(body);
	return batch;
}

static uint64_t put(struct redo *redo, int64_t number, size_t size)
{
	struct batch *batch = numbered(number, size);
	uint64_t place = redo_put(redo, batch);

	batch_free(&batch);
	return place;
}

static struct redo *new_redo(const char *path)
{
	struct heads heads = {.journal = {.rows = 0}};
	struct redo *redo = redo_open(path, &heads);

	assert_non_null(redo);
	assert_true(redo_publish(redo));
	return redo;
}

static unsigned int draw(unsigned int *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Whatever is put and dropped in whatever order, over many laps, what is left is what was not
 * dropped, in the order in which it was put. */
static void what_is_left_is_what_was_not_dropped(void **state)
{
	char *path = file_path(*state, REDO_FILE);
	struct redo *redo = new_redo(path);
	static struct told told;
	static struct {
		int64_t number;
		uint64_t place;
	} left[20000];
	size_t count = 0, refused = 0, read = 0;
	unsigned int seed = 1;
	struct heads heads;

	for (int64_t number = 1; number < 60000; number++) {
		unsigned int kind = draw(&seed) % 100;
		/* Now and then large, and for a while more than is dropped. */
		size_t size = kind < 2 ? draw(&seed) % 300000 : draw(&seed) % 3000;
		size_t drops = number / 3000 % 2 == 0 ? draw(&seed) % 2 : draw(&seed) % 5;
		uint64_t place = put(redo, number, size);

		if (place == 0) {
			refused++;
		} else {
			left[count].number = number;
			left[count++].place = place;
		}
		for (; drops > 0 && count > 0; drops--) {
			/* Mostly the oldest. */
			size_t which = draw(&seed) % 4 == 0 ? draw(&seed) % count : 0;

			redo_drop(redo, left[which].place);
			count--;
			memmove(&left[which], &left[which + 1], (count - which) * sizeof(left[0]));
		}
		if (number % 997 != 0 && number != 59999)
			continue;
		told.count = 0;
		assert_int_equal(redo_read(&heads, path, tell, &told), REDO_OK);
		assert_int_equal(told.count, count);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(told.ids[i], left[i].number);
		read++;
	}
	/* It was full at times, and read while something was in it. */
	assert_true(refused > 100 && read > 60);
	while (count > 0)
		redo_drop(redo, left[--count].place);
	redo_close(&redo);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
}

static void a_full_ring_has_room_again(void **state)
{
	char *path = file_path(*state, REDO_FILE);
	struct redo *redo = new_redo(path);
	uint64_t first = put(redo, 1, 1 << 20), place;
	int64_t number = 2;

	assert_int_not_equal(first, 0);
	/* Longer than any ring. */
	assert_int_equal(put(redo, 99, REDO_RING_SIZE), 0);
	while (put(redo, number, 1000) != 0)
		number++;
	assert_true(number > 2500);
	redo_drop(redo, first);
	place = put(redo, number, 1000);
	assert_int_not_equal(place, 0);
	redo_close(&redo);
	/* Something is left, so it stays. */
	assert_int_equal(access(path, F_OK), 0);
	free(path);
}

/* With little traffic little of it is ever touched: what is put goes where the last was. */
static void an_empty_ring_begins_anew(void **state)
{
	char *path = file_path(*state, REDO_FILE);
	struct redo *redo = new_redo(path);

	for (int i = 0; i < 100; i++) {
		uint64_t place = put(redo, i, 1000), second = put(redo, i, 1000);

		assert_int_equal(place % REDO_RING_SIZE, 0);
		redo_drop(redo, second);
		redo_drop(redo, place);
	}
	redo_close(&redo);
	free(path);
}

/* --- damage ----------------------------------------------------------------- */

#define ENTRIES 5

static char *some_entries(const char *path)
{
	struct redo *redo = new_redo(path);
	size_t size;
	char *bytes;

	for (int i = 0; i < ENTRIES; i++)
		assert_int_not_equal(put(redo, i, 40), 0);
	redo_close(&redo);
	bytes = file_read(&size, path, FILE_MAX);
	assert_non_null(bytes);
	assert_int_equal(size, 4096 + REDO_RING_SIZE);
	return bytes;
}

/* Up to an entry that is damaged they are told as they were, and none after it. */
static void a_damaged_entry_ends_it(void **state)
{
	char *path = file_path(*state, REDO_FILE), *bytes = some_entries(path);
	size_t size = 4096 + REDO_RING_SIZE;
	struct told told = {.count = 0};
	struct heads heads;
	size_t end, least = ENTRIES, most = 0;
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	for (end = size; bytes[end - 1] == 0; end--)
		;
	for (size_t at = 4096; at < end; at++) {
		char changed = (char)(bytes[at] ^ 0x10);

		assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
		told.count = 0;
		assert_int_equal(redo_read(&heads, path, tell, &told), REDO_OK);
		for (size_t i = 0; i < told.count; i++)
			assert_int_equal(told.ids[i], (int64_t)i);
		least = told.count < least ? told.count : least;
		most = told.count > most ? told.count : most;
		assert_int_equal(pwrite(fd, &bytes[at], 1, (off_t)at), 1);
	}
	assert_int_equal(least, 0);
	/* Bytes that an entry does not use. */
	assert_int_equal(most, ENTRIES);
	close(fd);
	free(bytes);
	free(path);
}

/* An answer's body lies in the ring as the seller sent it, and stays when it is out again. Here he
 * knows all but the key: where it lies, what comes after it, how an entry is made. */
static void a_stranger_cannot_write_an_entry(void **state)
{
	char *path = file_path(*state, REDO_FILE), *other = file_path(*state, "other");
	struct redo *his = new_redo(other), *ours = new_redo(path);
	uint64_t first = put(his, 1, 100), second = put(his, 666, 100);
	size_t size, at = 4096 + second % REDO_RING_SIZE;
	struct told told = {.count = 0};
	struct heads heads;
	char *bytes;
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(put(ours, 1, 100), first);
	redo_close(&his);
	bytes = file_read(&size, other, FILE_MAX);
	assert_non_null(bytes);
	/* An entry of his ring, right behind the last of ours. */
	assert_int_equal(pwrite(fd, bytes + at, 1024, (off_t)at), 1024);
	assert_int_equal(redo_read(&heads, path, tell, &told), REDO_OK);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.ids[0], 1);
	redo_close(&ours);
	close(fd);
	free(bytes);
	free(other);
	free(path);
}

static void another_file_is_not_ours(void **state)
{
	char *path = file_path(*state, REDO_FILE), *bytes = some_entries(path);
	size_t size = 4096 + REDO_RING_SIZE;
	struct told told = {.count = 0};
	struct heads heads;
	static const size_t places[] = {0, 9, 16, 25, 512, 700, 1023, 1024, 1031};

	for (size_t i = 0; i < COUNT(places); i++) {
		bytes[places[i]] ^= 0x55;
		assert_true(file_replace(path, bytes, size, 0600));
		assert_int_equal(
		    redo_read(&heads, path, tell, &told), places[i] == 1024   ? REDO_DAMAGED
							  : places[i] == 1031 ? REDO_OK
									      : REDO_DAMAGED);
		bytes[places[i]] ^= 0x55;
	}
	assert_int_equal(told.count, 0);
	assert_true(file_replace(path, bytes, size - 1, 0600));
	assert_int_equal(redo_read(&heads, path, tell, &told), REDO_DAMAGED);
	assert_true(file_replace(path, bytes, 0, 0600));
	assert_int_equal(redo_read(&heads, path, tell, &told), REDO_DAMAGED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(redo_read(&heads, path, tell, &told), REDO_ABSENT);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(redo_read(&heads, path, tell, &told), REDO_IO);
	free(bytes);
	free(path);
}

/* --- a store ------------------------------------------------------------------ */

#define CALLS 200

static bool count_row(const struct audit_row *row, void *arg)
{
	(void)row;
	++*(int *)arg;
	return true;
}

static int audits_of(struct store *store)
{
	int count = 0;

	assert_int_equal(store_audit(store, 0, 0, 0, count_row, &count), STORE_OK);
	return count;
}

static void append_call(struct world *world)
{
	struct batch *batch = batch_new(world->now);

	batch_audit(batch,
	    &(struct audit_row){.id = world_id(world), .kind = AUDIT_CALL, .agent = world->agent});
	store_append(world->store, &batch, NULL, NULL);
}

static bool is_settled(const struct payment_row *row, void *arg)
{
	*(bool *)arg = row->state == PAYMENT_SETTLED;
	return true;
}

static void nobody_is_told(enum store_result result, void *arg)
{
	(void)result;
	(void)arg;
}

/* In a child: hands over much that nobody waits for, and an end that somebody does, and is killed
 * at once. */
static void leave_rows(const struct world *closed, const char *dir)
{
	struct world world = *closed;
	struct batch *batch;
	struct journal_row charge = world_journal_row(&world, JOURNAL_CHARGE, 500);

	world.store = world_store(dir, WORLD_START);
	for (int i = 0; i < CALLS; i++)
		append_call(&world);
	batch = world_state(&world, world.open, PAYMENT_SETTLED, 30000);
	batch_outlive(batch);
	store_append(world.store, &batch, nobody_is_told, NULL);
	charge.call = world.call;
	batch = batch_new(world.now);
	batch_journal(batch, &charge);
	store_append(world.store, &batch, NULL, NULL);
	raise(SIGKILL);
}

static void kill_child(const struct world *closed, const char *dir)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		leave_rows(closed, dir);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A ledger with an open payment and a hold, closed. */
static struct world closed_world(const char *dir)
{
	struct world world = world_open(dir);

	world_hold(&world, 500, JOURNAL_HOLD);
	store_close(&world.store);
	return world;
}

static void a_killed_process_leaves_its_rows(void **state)
{
	struct world world = closed_world(*state), again = world;
	char *path = file_path(*state, REDO_FILE);
	bool settled = false;
	int before;

	again.store = world_store(*state, WORLD_START);
	before = audits_of(again.store);
	store_close(&again.store);
	assert_int_equal(access(path, F_OK), -1);
	kill_child(&world, *state);
	assert_int_equal(access(path, F_OK), 0);
	again.store = world_store(*state, WORLD_START);
	/* All of it, as soon as the store is open, and no id twice. */
	assert_int_equal(audits_of(again.store), before + CALLS);
	assert_int_equal(store_payment(again.store, world.open, is_settled, &settled), STORE_OK);
	assert_true(settled);
	assert_true(store_next_id(again.store, WORLD_START) >= world.now + CALLS * CLOCK_US_PER_S);
	world_assert_whole(again.store);
	/* The hold has its one end. */
	struct batch *batch = batch_new(world.now);
	struct journal_row release = world_journal_row(&world, JOURNAL_RELEASE, 500);
	release.call = world.call;
	batch_journal(batch, &release);
	assert_int_equal(store_append_wait(again.store, &batch), STORE_EXISTS);
	store_close(&again.store);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
}

/* Killed between the commit and the moment at which the rows are taken out: they are there twice,
 * and are not written twice. */
static void what_was_committed_is_not_written_again(void **state)
{
	struct world world = closed_world(*state), again = world;
	char *path = file_path(*state, REDO_FILE), *bytes;
	size_t size;
	int audits;

	kill_child(&world, *state);
	bytes = file_read(&size, path, FILE_MAX);
	assert_non_null(bytes);
	again.store = world_store(*state, WORLD_START);
	audits = audits_of(again.store);
	store_close(&again.store);
	assert_true(file_replace(path, bytes, size, 0600));
	again.store = world_store(*state, WORLD_START);
	assert_int_equal(audits_of(again.store), audits);
	world_assert_whole(again.store);
	store_close(&again.store);
	free(bytes);
	free(path);
}

/* Killed again and again before a start is through: nothing is lost on the way. */
static void a_start_may_be_killed_as_well(void **state)
{
	struct world world = closed_world(*state), again = world;
	int before;

	again.store = world_store(*state, WORLD_START);
	before = audits_of(again.store);
	store_close(&again.store);
	for (int i = 1; i <= 3; i++) {
		/* The second time its payment and its hold have ended: those are refused alone. */
		kill_child(&world, *state);
		world.now += (CALLS + 10) * CLOCK_US_PER_S;
	}
	again.store = world_store(*state, WORLD_START);
	assert_int_equal(audits_of(again.store), before + 3 * CALLS);
	world_assert_whole(again.store);
	store_close(&again.store);
}

static void rows_of_another_ledger_are_set_aside(void **state)
{
	struct world world = closed_world(*state), other;
	char *dir = file_path(*state, "other"), *from = file_path(*state, REDO_FILE);
	char *to = file_path(dir, REDO_FILE), *aside = file_path(dir, REDO_FILE ".unused");
	int before;

	assert_int_equal(mkdir(dir, 0700), 0);
	other = (struct world){.now = WORLD_START};
	other.store = world_store(dir, WORLD_START);
	world_people(&other);
	world_deposit(&other, 5);
	before = audits_of(other.store);
	store_close(&other.store);
	kill_child(&world, *state);
	assert_int_equal(rename(from, to), 0);
	other.store = world_store(dir, WORLD_START);
	assert_int_equal(audits_of(other.store), before);
	assert_int_equal(access(aside, F_OK), 0);
	world_assert_whole(other.store);
	store_close(&other.store);
	free(aside);
	free(to);
	free(from);
	free(dir);
}

/* What is no such file does not keep a ledger from opening. */
static void damage_is_set_aside(void **state)
{
	struct world world = closed_world(*state);
	char *path = file_path(*state, REDO_FILE), *aside = file_path(*state, REDO_FILE ".unused");
	char *fresh = file_path(*state, REDO_FILE ".new"), reason[256] = "";

	assert_true(file_replace(path, "something else\n", 15, 0600));
	world.store = world_store(*state, WORLD_START);
	assert_int_equal(access(aside, F_OK), 0);
	append_call(&world);
	store_close(&world.store);
	assert_int_equal(access(path, F_OK), -1);
	/* What cannot be read may be rows. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(store_open(&world.store, reason, *state, WORLD_START), STORE_BROKEN);
	assert_non_null(strstr(reason, "where the last process left rows"));
	assert_int_equal(rmdir(path), 0);
	/* Where none can be made there is none. */
	assert_int_equal(mkdir(fresh, 0700), 0);
	world.store = world_store(*state, WORLD_START);
	append_call(&world);
	world_assert_whole(world.store);
	store_close(&world.store);
	free(fresh);
	free(aside);
	free(path);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_batch_comes_back),
	    cmocka_unit_test(other_bytes_are_no_batch),
	    cmocka_unit_test(a_journal_row_without_its_names_is_none),
	    folder_test(what_is_left_is_what_was_not_dropped),
	    folder_test(a_full_ring_has_room_again),
	    folder_test(an_empty_ring_begins_anew),
	    folder_test(a_damaged_entry_ends_it),
	    folder_test(a_stranger_cannot_write_an_entry),
	    folder_test(another_file_is_not_ours),
	    folder_test(a_killed_process_leaves_its_rows),
	    folder_test(what_was_committed_is_not_written_again),
	    folder_test(a_start_may_be_killed_as_well),
	    folder_test(rows_of_another_ledger_are_set_aside),
	    folder_test(damage_is_set_aside),
	};

	return unit_run(tests);
}
