/* ledger_proof_test - the rows about a call: all of them, each with what its hash covers and
 * the way to its anchor. */
#include "tests/unit/ledger_anchors.h"

static const struct proof_settings settings = {"default_policy", "delivery/"};

struct bench {
	struct world world;
	char *dir;
	struct anchor anchors[4];
	size_t anchor_count;
};

static void next_anchor(struct bench *bench)
{
	struct anchor *anchor = &bench->anchors[bench->anchor_count];

	assert_int_equal(proof_next(&anchor->journal, &anchor->record, bench->world.store,
			     bench->anchor_count > 0 ? anchor - 1 : NULL),
	    PROOF_OK);
	bench->anchor_count++;
}

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct batch *batch;
	void *dir;

	if (bench == NULL || unit_folder_make(&dir) != 0)
		return -1;
	bench->dir = dir;
	bench->world.now = WORLD_START;
	bench->world.store = world_store(dir, WORLD_START);
	batch = batch_new(WORLD_START);
	batch_setting(batch, world_id(&bench->world), "default_policy", "{}");
	batch_setting(batch, world_id(&bench->world), "delivery/github/issues", "{\"status\":1}");
	batch_setting(batch, world_id(&bench->world), "delivery/search/api", "{\"status\":2}");
	world_append(&bench->world, batch);
	world_people(&bench->world);
	next_anchor(bench);
	world_things(&bench->world);
	next_anchor(bench);
	world_history(&bench->world);
	next_anchor(bench);
	*state = bench;
	return 0;
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	void *dir = bench->dir;

	store_close(&bench->world.store);
	free(bench);
	return unit_folder_remove(&dir);
}

/* --- rows ---------------------------------------------------------------------- */

struct shown {
	struct bench *bench;
	size_t counts[TABLE_LAST + 1];
	int64_t last_journal, last_record;
	bool stop;
};

static const struct anchor *anchor_of(const struct bench *bench, bool journal, int64_t number)
{
	for (size_t i = 0; i < bench->anchor_count; i++) {
		const struct anchor_chain *chain =
		    journal ? &bench->anchors[i].journal : &bench->anchors[i].record;

		if (number > chain->from && number <= chain->head.rows)
			return &bench->anchors[i];
	}
	fail_msg("no anchor covers it");
	return NULL;
}

/* The hash follows from what is given, and its path leads to the anchor. */
static bool show(const struct proof_row *row, void *arg)
{
	struct shown *shown = arg;
	bool journal = row->table == TABLE_JOURNAL, sign = journal && row->values[1].number == 3;
	const struct anchor *anchor = anchor_of(shown->bench, journal, row->number);
	const struct anchor_chain *chain = journal ? &anchor->journal : &anchor->record;
	struct merkle_path path;
	struct digest hash, leaf;

	shown->counts[row->table]++;
	if (journal) {
		assert_int_equal(shown->last_record, 0);
		assert_true(row->number > shown->last_journal);
		assert_int_equal(row->posting_count, 2);
		shown->last_journal = row->number;
	} else {
		assert_true(row->number > shown->last_record);
		shown->last_record = row->number;
	}
	if (!sign) {
		hash = journal ? journal_hash(&row->before, row->values, row->postings,
				     row->posting_count, NULL)
			       : record_hash(&row->before, row->number, row->table, row->values);
		assert_true(digest_equal(&hash, &row->hash));
	}
	assert_int_equal(
	    proof_path(&path, shown->bench->world.store, journal, chain, row->number), PROOF_OK);
	leaf = merkle_leaf(row->hash.bytes, DIGEST_SIZE);
	assert_true(merkle_path_holds(&path, &leaf, (uint64_t)(row->number - chain->from - 1),
	    (uint64_t)(chain->head.rows - chain->from), &chain->root));
	return !shown->stop;
}

static bool note_call(const struct payment_row *row, void *arg)
{
	*(int64_t *)arg = row->call;
	return true;
}

static int64_t call_of(const struct bench *bench, int64_t payment)
{
	int64_t call = 0;

	assert_int_equal(store_payment(bench->world.store, payment, note_call, &call), STORE_OK);
	return call;
}

static struct shown show_call(struct bench *bench, int64_t call)
{
	struct shown shown = {.bench = bench};

	assert_int_equal(proof_call(bench->world.store, call, &settings, show, &shown), PROOF_OK);
	return shown;
}

static void test_paid_call(void **state)
{
	struct bench *bench = *state;
	struct shown shown = show_call(bench, call_of(bench, bench->world.settled));

	assert_int_equal(shown.counts[TABLE_JOURNAL], 2);
	assert_int_equal(shown.counts[TABLE_PAYMENT], 1);
	assert_int_equal(shown.counts[TABLE_PAYMENT_STATE], 2);
	assert_int_equal(shown.counts[TABLE_AUDIT], 1);
	assert_int_equal(shown.counts[TABLE_AGENT], 1);
	assert_int_equal(shown.counts[TABLE_AGENT_ADDRESS], 1); /* the latest of two */
	assert_int_equal(shown.counts[TABLE_POLICY], 1);        /* likewise: its own */
	assert_int_equal(shown.counts[TABLE_TOOL], 1);
	assert_int_equal(shown.counts[TABLE_TOKEN], 1);
	assert_int_equal(shown.counts[TABLE_TOKEN_REVOKED], 0);
	assert_int_equal(shown.counts[TABLE_SETTING], 1); /* the tool's, not the default policy */
}

static void test_repaid_and_metered_calls(void **state)
{
	struct bench *bench = *state;
	/* Signed, settled, paid back; no audit row. */
	struct shown shown = show_call(bench, call_of(bench, bench->world.repaid));

	assert_int_equal(shown.counts[TABLE_JOURNAL], 3);
	assert_int_equal(shown.counts[TABLE_AUDIT], 0);
	/* A hold that a crash left; its session says whose it was. */
	shown = show_call(bench, bench->world.call);
	assert_int_equal(shown.counts[TABLE_JOURNAL], 1);
	assert_int_equal(shown.counts[TABLE_PAYMENT], 0);
	assert_int_equal(shown.counts[TABLE_TOKEN], 1);
	assert_int_equal(shown.counts[TABLE_TOKEN_REVOKED], 1);
}

static void test_the_caller_may_stop(void **state)
{
	struct bench *bench = *state;
	struct shown shown = {.bench = bench, .stop = true};

	assert_int_equal(proof_call(bench->world.store, call_of(bench, bench->world.settled),
			     &settings, show, &shown),
	    PROOF_OK);
	assert_int_equal(shown.counts[TABLE_JOURNAL], 1);
	assert_int_equal(shown.counts[TABLE_PAYMENT], 0);
}

static void test_no_such_call(void **state)
{
	struct bench *bench = *state;
	struct shown shown = {.bench = bench};
	int64_t nothing[] = {0, -1, 7, bench->world.settled, bench->world.agent, INT64_MAX};

	for (size_t i = 0; i < COUNT(nothing); i++)
		assert_int_equal(
		    proof_call(bench->world.store, nothing[i], &settings, show, &shown),
		    PROOF_NOTHING);
	assert_int_equal(shown.counts[TABLE_JOURNAL], 0);
}

/* --- paths ------------------------------------------------------------------------- */

static void ask_path(const struct bench *bench, const struct anchor_chain *chain, int64_t number)
{
	struct merkle_path path;

	if (proof_path(&path, bench->world.store, true, chain, number) != PROOF_OK)
		_exit(1);
}

static void test_other_anchors_have_no_path(void **state)
{
	struct bench *bench = *state;
	struct anchor_chain chain = bench->anchors[2].record;
	struct merkle_path path;

	assert_int_equal(
	    proof_path(&path, bench->world.store, false, &chain, chain.from + 1), PROOF_OK);
	chain.root.bytes[7] ^= 1;
	assert_int_equal(
	    proof_path(&path, bench->world.store, false, &chain, chain.from + 1), PROOF_BEHIND);
	chain = bench->anchors[2].record;
	chain.head.last--;
	assert_int_equal(
	    proof_path(&path, bench->world.store, false, &chain, chain.from + 1), PROOF_BEHIND);
	chain = bench->anchors[0].record;
	chain.head.rows++;
	assert_int_equal(proof_path(&path, bench->world.store, false, &chain, 1), PROOF_BEHIND);
	chain = bench->anchors[2].journal;
	assert_aborts(ask_path(bench, &chain, 0));
	assert_aborts(ask_path(bench, &chain, chain.head.rows + 1));
}

/* Last: it adds rows. */
static void test_too_many_rows(void **state)
{
	struct bench *bench = *state;
	struct shown shown = {.bench = bench};
	struct batch *batch = batch_new(bench->world.now);

	for (unsigned i = 0; i < PROOF_ROWS_MAX; i++)
		batch_evidence(batch, &(struct evidence_row){.id = world_id(&bench->world),
					  .payment = bench->world.settled,
					  .kind = EVIDENCE_DISAGREES,
					  .network = WORLD_NETWORK,
					  .log_index = -1});
	world_append(&bench->world, batch);
	assert_int_equal(proof_call(bench->world.store, call_of(bench, bench->world.settled),
			     &settings, show, &shown),
	    PROOF_TOO_MANY);
	assert_int_equal(shown.counts[TABLE_JOURNAL], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paid_call),
	    cmocka_unit_test(test_repaid_and_metered_calls),
	    cmocka_unit_test(test_the_caller_may_stop),
	    cmocka_unit_test(test_no_such_call),
	    cmocka_unit_test(test_other_anchors_have_no_path),
	    cmocka_unit_test(test_too_many_rows),
	};

	return cmocka_run_group_tests(tests, bench_make, bench_remove);
}
