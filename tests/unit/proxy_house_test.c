/* A data folder: made once, opened by one, refused with a reason, and the same after a
 * restart. */
#include "proxy/house.h"

#include <sys/stat.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "ledger/verify.h"
#include "proxy/command.h"
#include "proxy/rooms.h"
#include "tests/unit/proxy_clock.h"
#include "tests/unit/unit.h"

#define NETWORK "eip155:84532"
#define ASSET   "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define PAYEE   "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
#define LOWER   "0x209693bc6afc0c5328ba36faf03c514ef312287c"

static struct house_options options_of(void **state)
{
	return (struct house_options){.dir = *state, .command = "test"};
}

static void init(void **state)
{
	struct house_options options = options_of(state);
	char reason[512] = "";

	if (house_init(reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
}

static struct house *open_house(void **state)
{
	struct house_options options = options_of(state);
	struct house *house = NULL;
	char reason[512] = "";

	if (house_open(&house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	return house;
}

/* Opening must fail, with this in the reason. */
static void assert_refused(void **state, enum house_result expected, const char *words)
{
	struct house_options options = options_of(state);
	struct house *house = (struct house *)state; /* must stay as it is */
	char reason[512] = "";
	enum house_result result = house_open(&house, reason, &options);

	if (result != expected || !strstr(reason, words))
		fail_msg("%d: %s (not \"%s\")", (int)result, reason, words);
	assert_ptr_equal(house, (struct house *)state);
}

static void write_file(void **state, const char *name, const char *text)
{
	char *path = file_path(*state, name);

	assert_true(file_replace(path, text, strlen(text), 0600));
	free(path);
}

static void remove_file(void **state, const char *name)
{
	char *path = file_path(*state, name);

	assert_int_equal(remove(path), 0);
	free(path);
}

static char *saved(void **state, const char *name)
{
	char *path = file_path(*state, name);
	size_t size;
	char *text = file_read(&size, path, 65536);

	assert_non_null(text);
	free(path);
	return text;
}

/* --- init ------------------------------------------------------------------------ */

static void init_makes_a_folder_once(void **state)
{
	static const char *const secret[] = {
	    "passphrase", "token.key", "tallyward.json", "policy.json"};
	struct house_options options = options_of(state);
	struct stat status;
	char reason[512] = "", *before, *after;

	init(state);
	for (size_t i = 0; i < COUNT(secret); i++) {
		char *path = file_path(*state, secret[i]);

		assert_int_equal(stat(path, &status), 0);
		row_check(secret[i], (status.st_mode & 0777) == 0600);
		free(path);
	}
	before = saved(state, "passphrase");
	assert_int_equal(strlen(before), 65);
	assert_int_equal(house_init(reason, &options), HOUSE_EXISTS);
	assert_non_null(strstr(reason, "nothing was changed"));
	after = saved(state, "passphrase");
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void init_goes_on_where_it_was_cut_off(void **state)
{
	struct house_options options = options_of(state);
	char reason[512] = "", *before, *after, *file = file_path(*state, "mine");

	init(state);
	before = saved(state, "passphrase");
	remove_file(state, "tallyward.json");
	/* Another passphrase than the keys were sealed with is not taken. */
	write_file(state, "mine", "secret words\n");
	options.passphrase_file = file;
	assert_int_equal(house_init(reason, &options), HOUSE_BROKEN);
	assert_non_null(strstr(reason, "bad_passphrase"));
	assert_refused(state, HOUSE_NOT_FOUND, "tallyward init");
	options.passphrase_file = NULL;
	remove_file(state, "policy.json");
	remove_file(state, "token.key");
	init(state);
	after = saved(state, "passphrase");
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(file);
	{
		struct house *house = open_house(state);

		house_close(&house);
	}
}

static void init_refuses(void **state)
{
	struct house_options options = options_of(state);
	char reason[512] = "", *inside = file_path(*state, "no/such/folder"), *file;

	options.dir = inside;
	assert_int_equal(house_init(reason, &options), HOUSE_BROKEN);
	options = options_of(state);
	options.passphrase_file = "/nowhere/passphrase";
	assert_int_equal(house_init(reason, &options), HOUSE_BAD_KEYS);
	assert_non_null(strstr(reason, "/nowhere/passphrase"));
	/* Nothing half made is taken for a data folder. */
	assert_refused(state, HOUSE_NOT_FOUND, "tallyward init");
	write_file(state, "mine", "secret words\n");
	file = file_path(*state, "mine");
	options.passphrase_file = file;
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(house_init(reason, &options), HOUSE_BAD_KEYS);
	assert_int_equal(chmod(file, 0600), 0);
	if (house_init(reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	options.passphrase_file = NULL; /* the configuration remembers where it is */
	{
		struct house *house = NULL;

		if (house_open(&house, reason, &options) != HOUSE_OK)
			fail_msg("%s", reason);
		assert_string_equal(house_config(house)->passphrase_file, file);
		house_close(&house);
	}
	free(file);
	free(inside);
}

/* What a guess at the passphrase costs: n of the data key's scrypt. */
static void assert_guess(void **state, const char *folder, const char *passphrase_file,
    const char *n)
{
	struct house_options options = {
	    .dir = file_path(*state, folder), .passphrase_file = passphrase_file};
	char reason[512] = "", *name = must_format("%s/keys/datakey.json", folder), *text;

	if (house_init(reason, &options) != HOUSE_OK)
		fail_msg("%s: %s", folder, reason);
	text = saved(state, name);
	row_check(folder, strstr(text, n) != NULL);
	free(text);
	free(name);
	free((char *)(uintptr_t)options.dir);
}

/* Cheap to unwrap is only what nobody can have chosen, however random it looks. */
static void a_chosen_passphrase_is_dear_to_guess(void **state)
{
	char *file, *credentials = file_path(*state, "credentials");
	char text[66];

	assert_guess(state, "made", NULL, "\"n\": 1024,");
	memset(text, 'a', 64);
	text[64] = '\n';
	text[65] = '\0';
	write_file(state, "mine", text);
	file = file_path(*state, "mine");
	assert_guess(state, "named", file, "\"n\": 131072,");
	free(file);
	file = file_path(*state, "there");
	assert_int_equal(mkdir(file, 0700), 0);
	free(file);
	write_file(state, "there/passphrase", text);
	assert_guess(state, "there", NULL, "\"n\": 131072,");
	assert_int_equal(mkdir(credentials, 0700), 0);
	write_file(state, "credentials/passphrase", text);
	setenv("CREDENTIALS_DIRECTORY", credentials, 1);
	assert_guess(state, "credential", NULL, "\"n\": 131072,");
	unsetenv("CREDENTIALS_DIRECTORY");
	free(credentials);
}

/* --- open ---------------------------------------------------------------------------- */

static void open_when_there_is_nothing(void **state)
{
	struct house_options options = options_of(state);
	struct house *house = NULL;
	char reason[512] = "";

	assert_refused(state, HOUSE_NOT_FOUND, "tallyward init");
	options.dir = "/nowhere/at/all";
	assert_int_equal(house_open(&house, reason, &options), HOUSE_NOT_FOUND);
	assert_null(house);
	house_close(&house);
}

/* The lock is one of files: a second opening in this process is another's all the same. */
static void open_is_for_one(void **state)
{
	struct house *house;
	pid_t child;
	int status = 0, answer[2];
	char locked = 'n';

	init(state);
	house = open_house(state);
	assert_int_equal(pipe(answer), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct house_options options = options_of(state);
		struct house *second = NULL;
		char reason[512] = "";

		if (house_open(&second, reason, &options) == HOUSE_LOCKED && *reason)
			locked = 'y';
		/* Not by its status, which is memcheck's: to it the parent's house is lost. */
		_exit(write(answer[1], &locked, 1) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(read(answer[0], &locked, 1), 1);
	assert_int_equal(locked, 'y');
	close(answer[0]);
	close(answer[1]);
	house_close(&house);
	assert_null(house);
	house = open_house(state);
	house_close(&house);
}

static void bad_configurations(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
	    {"{\n\n\"listn\": \"x\"\n}",
		"tallyward.json:3: listn: unknown key; did you mean \"listen\"?"},
	    {"{\n\"workers\": -1\n}", "tallyward.json:2: workers: must be a whole number from 0"},
	    {"{\n\"workers\": \"2\"}", "tallyward.json:2: workers"},
	    {"{\n\"log_level\":\n\"loud\"}", "tallyward.json:"},
	    {"{", "tallyward.json:"},
	    {"", "tallyward.json:"},
	    {"[]", "object"},
	    {"{\"assets\":[{}]}", "assets[0]"},
	};
	char *good;

	init(state);
	good = saved(state, "tallyward.json");
	for (size_t i = 0; i < COUNT(rows); i++) {
		write_file(state, "tallyward.json", rows[i].text);
		assert_refused(state, HOUSE_BAD_CONFIG, rows[i].words);
	}
	write_file(state, "tallyward.json", good);
	free(good);
	write_file(state, "policy.json", "{\n\"budgte\": {}\n}");
	assert_refused(state, HOUSE_BAD_CONFIG, "policy.json:2: budgte");
	write_file(state, "policy.json", "");
	assert_refused(state, HOUSE_BAD_CONFIG, "policy.json:");
	remove_file(state, "policy.json");
	assert_refused(state, HOUSE_BAD_CONFIG, "policy.json");
}

static void bad_keys(void **state)
{
	char *passphrase, *token, *path;

	init(state);
	passphrase = saved(state, "passphrase");
	path = file_path(*state, "passphrase");
	assert_int_equal(chmod(path, 0640), 0);
	assert_refused(state, HOUSE_BAD_KEYS, "chmod 600");
	assert_int_equal(chmod(path, 0604), 0);
	assert_refused(state, HOUSE_BAD_KEYS, "chmod 600");
	write_file(state, "passphrase", "wrong\n");
	assert_refused(state, HOUSE_BAD_KEYS, "keystore");
	write_file(state, "passphrase", "");
	assert_refused(state, HOUSE_BAD_KEYS, "empty");
	write_file(state, "passphrase", "\n\r\n");
	assert_refused(state, HOUSE_BAD_KEYS, "empty");
	remove_file(state, "passphrase");
	assert_refused(state, HOUSE_BAD_KEYS, "cannot read the passphrase file");
	/* The line's end is not part of it. */
	passphrase[strcspn(passphrase, "\n")] = '\0';
	write_file(state, "passphrase", passphrase);
	free(passphrase);
	free(path);
	token = file_path(*state, "token.key");
	write_file(state, "token.key", "short");
	assert_refused(state, HOUSE_BAD_KEYS, "exactly 32 bytes");
	write_file(state, "token.key", "0123456789abcdef0123456789abcdef0");
	assert_refused(state, HOUSE_BAD_KEYS, "exactly 32 bytes");
	assert_int_equal(remove(token), 0);
	assert_refused(state, HOUSE_BAD_KEYS, "exactly 32 bytes");
	free(token);
}

static void systemd_credential_comes_first(void **state)
{
	char *folder = file_path(*state, "credentials"), *good;
	struct house *house;

	init(state);
	good = saved(state, "passphrase");
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	house = open_house(state); /* there is none of our name */
	house_close(&house);
	write_file(state, "credentials/passphrase", "wrong");
	assert_refused(state, HOUSE_BAD_KEYS, "keystore");
	write_file(state, "credentials/passphrase", good);
	write_file(state, "passphrase", "wrong");
	house = open_house(state);
	house_close(&house);
	unsetenv("CREDENTIALS_DIRECTORY");
	free(folder);
	free(good);
}

/* --- the same after a restart ------------------------------------------------------------ */

static json_t *result(struct house *house, const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args);
	json_t *reply = command_run(house, request, clock_now_us()), *value;

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s: %s", name, json_string_value(json_object_get(reply, "error")));
	value = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	json_decref(request);
	return value;
}

/* What a limit, or an owner, could ask of one agent, in one text. */
static char *totals(struct house *house, const char *name, const char *session)
{
	static const enum window windows[] = {
	    WINDOW_MINUTE, WINDOW_HOUR, WINDOW_DAY, WINDOW_MONTH, WINDOW_TOTAL};
	static const struct {
		enum purse_subject subject;
		const char *name;
	} subjects[] = {{PURSE_AGENT, NULL}, {PURSE_WALLET, NULL}, {PURSE_SESSION, ""},
	    {PURSE_TOOL, "bought"}, {PURSE_TOOL, "rented"}, {PURSE_TOOL, "*"},
	    {PURSE_PAYEE, LOWER}};
	struct agent *agent = registry_agent(house->registry, name);
	int64_t now_us = clock_now_us();
	struct balance chain, off;
	struct buf text;
	char line[160], *copy, pinned[ADDRESS_TEXT_SIZE] = "-";
	unsigned slot;

	assert_true(house_slot_of(&slot, house, NETWORK, ASSET));
	/* As a call does. What it reads is there once, however often it is asked for. */
	assert_true(purse_recall(agent->purse));
	(void)!registry_pinned(pinned, house->registry, agent, "bought");
	buf_init(&text, 65536);
	purses_lock(house->purses);
	chain = purse_balance(agent->purse, slot);
	off = purse_balance(agent->purse, PURSE_OFF_CHAIN);
	for (size_t i = 0; i < COUNT(subjects); i++) {
		for (size_t j = 0; j < 2 * COUNT(windows); j++) {
			const char *subject =
			    subjects[i].name && !*subjects[i].name ? session : subjects[i].name;
			struct purse_reading reading = purse_read(agent->purse, subjects[i].subject,
			    subject, windows[j / 2], j % 2, now_us);

			snprintf(line, sizeof line, "%d/%s %s %s %lld+%lld\n",
			    (int)subjects[i].subject, subjects[i].name ? subjects[i].name : "-",
			    window_str(windows[j / 2]), j % 2 ? "calls" : "spend",
			    (long long)reading.firm, (long long)reading.provisional);
			buf_add_str(&text, line);
		}
	}
	purses_unlock(house->purses);
	snprintf(line, sizeof line, "%lld %lld %lld; %lld %lld; pinned %s\n",
	    (long long)chain.available, (long long)chain.open, (long long)chain.spent,
	    (long long)off.reserved, (long long)off.spent, pinned);
	buf_add_str(&text, line);
	copy = must_strdup(buf_str(&text));
	buf_fini(&text);
	return copy;
}

struct ledger {
	struct house *house;
	struct agent *agent;
	char session[TOKEN_SESSION_SIZE];
	unsigned slot;
};

static struct ledger ledger_open(void **state)
{
	struct ledger ledger = {.house = open_house(state)};
	json_t *made = result(ledger.house, "agent.add",
	    json_pack("{s:s, s:s}", "name", "coder", "owner", "o@example.com"));

	snprintf(ledger.session, sizeof ledger.session, "%s",
	    json_string_value(json_object_get(made, "session")));
	json_decref(made);
	json_decref(result(ledger.house, "wallet.deposit",
	    json_pack("{s:s, s:s}", "agent", "coder", "amount", "10.00")));
	ledger.agent = registry_agent(ledger.house->registry, "coder");
	assert_true(house_slot_of(&ledger.slot, ledger.house, NETWORK, ASSET));
	return ledger;
}

static struct journal_row journal(
    struct ledger *ledger, enum journal_event event, int64_t call, int64_t amount)
{
	bool chain = event < JOURNAL_HOLD;

	return (struct journal_row){.event = event,
	    .call = call,
	    .agent = ledger->agent->id,
	    .agent_name = "coder",
	    .owner = "o@example.com",
	    .tool = chain ? "bought" : "rented",
	    .amount = amount,
	    .network = chain ? NETWORK : "off-chain",
	    .asset = chain ? ASSET : "USD",
	    .symbol = chain ? "USDC" : "USD",
	    .session = event == JOURNAL_HOLD ? ledger->session : NULL};
}

static void append(struct ledger *ledger, struct batch *batch)
{
	assert_int_equal(store_append_wait(ledger->house->store, &batch), STORE_OK);
}

static void append_audit(struct ledger *ledger, int64_t call, const char *tool)
{
	struct audit_row row = {.id = call,
	    .kind = AUDIT_CALL,
	    .agent = ledger->agent->id,
	    .agent_name = "coder",
	    .owner = "o@example.com",
	    .session = ledger->session,
	    .tool = tool,
	    .method = "GET",
	    .path = "/",
	    .allowed = true,
	    .status = 200,
	    .finished_us = call};
	struct batch *batch = batch_new(call);

	batch_audit(batch, &row);
	append(ledger, batch);
}

static int64_t next_id(struct ledger *ledger)
{
	return store_next_id(ledger->house->store, clock_now_us());
}

/* As a call does it: the purse first, then the rows. Returns the payment's id. */
static int64_t sign(struct ledger *ledger, struct hold *hold, int64_t call, int64_t amount)
{
	struct journal_row row = journal(ledger, JOURNAL_SIGN, call, amount);
	char nonce[67], value[24];
	struct payment_row payment = {.id = next_id(ledger),
	    .call = call,
	    .agent = ledger->agent->id,
	    .agent_name = "coder",
	    .tool = "bought",
	    .session = ledger->session,
	    .amount = amount,
	    .value = value,
	    .network = NETWORK,
	    .asset = ASSET,
	    .symbol = "USDC",
	    .payer = PAYEE,
	    .payee = PAYEE,
	    .nonce = nonce,
	    .valid_before_s = call / CLOCK_US_PER_S + 60,
	    .header_name = "PAYMENT-SIGNATURE",
	    .header_value = "bytes",
	    .challenge = "{}",
	    .method = "GET",
	    .url = "http://h/"};
	struct batch *batch = batch_new(call);

	snprintf(nonce, sizeof nonce, "0x%064llx", (unsigned long long)payment.id);
	snprintf(value, sizeof value, "%lld", (long long)amount);
	row.payment = payment.id;
	purses_lock(ledger->house->purses);
	must(hold_place(hold, ledger->agent->purse, ledger->session, "bought", call, amount) ==
	     HOLD_OK);
	must(hold_sign(hold, ledger->slot, LOWER, amount) == HOLD_OK);
	purses_unlock(ledger->house->purses);
	registry_pin(ledger->house->registry, ledger->agent, "bought", LOWER);
	batch_payment(batch, &payment);
	batch_journal(batch, &row);
	append(ledger, batch);
	return payment.id;
}

static void payment_state(
    struct ledger *ledger, int64_t call, int64_t payment, enum payment_state state, int64_t settled)
{
	struct payment_state_row row = {
	    .id = next_id(ledger), .payment = payment, .state = state, .by = "receipt"};
	struct journal_row settle = journal(ledger, JOURNAL_SETTLE, call, settled);
	struct batch *batch = batch_new(row.id);

	settle.payment = payment;
	batch_payment_state(batch, &row);
	if (settled)
		batch_journal(batch, &settle);
	append(ledger, batch);
}

static void hold_metered(struct ledger *ledger, struct hold *hold, int64_t call, int64_t amount)
{
	struct journal_row row = journal(ledger, JOURNAL_HOLD, call, amount);
	struct batch *batch = batch_new(call);

	purses_lock(ledger->house->purses);
	hold_place_metered(hold, ledger->agent->purse, ledger->session, "rented", call, amount);
	purses_unlock(ledger->house->purses);
	batch_journal(batch, &row);
	append(ledger, batch);
}

static void end_metered(struct ledger *ledger, struct hold *hold, int64_t call, bool charged)
{
	struct journal_row row =
	    journal(ledger, charged ? JOURNAL_CHARGE : JOURNAL_RELEASE, call, hold->amount);
	struct batch *batch = batch_new(call);

	purses_lock(ledger->house->purses);
	if (charged)
		hold_charge(hold);
	else
		hold_give_back(hold);
	purses_unlock(ledger->house->purses);
	batch_journal(batch, &row);
	append(ledger, batch);
}

static void assert_books_balance(struct house *house)
{
	json_t *verified = result(house, "ledger.verify", json_object());

	if (!json_is_true(json_object_get(verified, "ok")))
		fail_msg("%s", json_dumps(verified, 0));
	json_decref(verified);
}

static void totals_equal_those_before(void **state)
{
	struct ledger ledger;
	struct hold hold = {0};
	char *before, *after, session[TOKEN_SESSION_SIZE];

	init(state);
	ledger = ledger_open(state);
	for (int i = 1; i <= 12; i++) {
		int64_t call = next_id(&ledger), payment;

		memset(&hold, 0, sizeof hold);
		if (i % 3 == 0) {
			hold_metered(&ledger, &hold, call, i * 1000);
			end_metered(&ledger, &hold, call, i % 2);
			append_audit(&ledger, call, "rented");
			continue;
		}
		payment = sign(&ledger, &hold, call, i * 10000);
		purses_lock(ledger.house->purses);
		if (i % 2)
			hold_settle(&hold);
		else
			hold_leave_open(&hold);
		purses_unlock(ledger.house->purses);
		payment_state(&ledger, call, payment, i % 2 ? PAYMENT_SETTLED : PAYMENT_OPEN,
		    i % 2 ? i * 10000 : 0);
		append_audit(&ledger, call, "bought");
		if (i == 8) {
			char id[24];

			snprintf(id, sizeof id, "%lld", (long long)payment);
			json_decref(result(ledger.house, "payment.resolve",
			    json_pack("{s:s, s:s, s:b}", "payment", id, "decision", "unused",
				"force", 1)));
		}
	}
	before = totals(ledger.house, "coder", ledger.session);
	snprintf(session, sizeof session, "%s", ledger.session);
	assert_books_balance(ledger.house);
	house_close(&ledger.house);
	for (int i = 0; i < 2; i++) {
		ledger.house = open_house(state);
		after = totals(ledger.house, "coder", session);
		assert_string_equal(before, after);
		assert_books_balance(ledger.house);
		house_close(&ledger.house);
		free(after);
	}
	free(before);
}

static bool note_state(const struct payment_row *row, void *arg)
{
	*(enum payment_state *)arg = row->state;
	return false;
}

/* The process ends between the signature and the answer. */
static void what_was_signed_is_open_afterwards(void **state)
{
	struct ledger ledger;
	struct hold hold = {0};
	enum payment_state found = PAYMENT_SETTLED;
	struct balance balance;
	char *before, *after;
	int64_t payment;

	init(state);
	ledger = ledger_open(state);
	payment = sign(&ledger, &hold, next_id(&ledger), 70000);
	before = totals(ledger.house, "coder", ledger.session);
	purses_lock(ledger.house->purses);
	hold_leave_open(&hold); /* a purse is not taken away under a hold */
	purses_unlock(ledger.house->purses);
	house_close(&ledger.house);
	for (int i = 0; i < 2; i++) {
		ledger.house = open_house(state);
		ledger.agent = registry_agent(ledger.house->registry, "coder");
		assert_int_equal(
		    store_payment(ledger.house->store, payment, note_state, &found), STORE_OK);
		assert_int_equal(found, PAYMENT_OPEN);
		balance = purse_balance(ledger.agent->purse, ledger.slot);
		assert_int_equal(balance.open, 70000);
		assert_int_equal(balance.available, 9930000);
		assert_books_balance(ledger.house);
		/* No audit row was written, so the call is not counted; its money is. */
		after = totals(ledger.house, "coder", ledger.session);
		assert_string_not_equal(before, "");
		assert_non_null(strstr(after, "2/- month spend 70000+0"));
		assert_non_null(strstr(after, "1/ total spend 70000+0"));
		assert_non_null(strstr(after, "5/" LOWER " day calls 1+0"));
		free(after);
		house_close(&ledger.house);
	}
	free(before);
}

/* … or between a metered call's hold and its end: the vendor may bill it. */
static void an_orphaned_hold_is_charged(void **state)
{
	struct ledger ledger;
	struct hold hold = {0};
	struct balance balance;
	char *after;
	json_t *rows;

	init(state);
	ledger = ledger_open(state);
	hold_metered(&ledger, &hold, next_id(&ledger), 30000);
	purses_lock(ledger.house->purses);
	hold_charge(&hold);
	purses_unlock(ledger.house->purses);
	house_close(&ledger.house);
	for (int i = 0; i < 2; i++) {
		ledger.house = open_house(state);
		balance = purse_balance(
		    registry_agent(ledger.house->registry, "coder")->purse, PURSE_OFF_CHAIN);
		assert_int_equal(balance.reserved, 0);
		assert_int_equal(balance.spent, 30000);
		after = totals(ledger.house, "coder", ledger.session);
		assert_non_null(strstr(after, "4/rented day spend 30000+0"));
		assert_non_null(strstr(after, "1/ total spend 30000+0"));
		free(after);
		rows =
		    result(ledger.house, "ledger.statement", json_pack("{s:s}", "agent", "coder"));
		assert_int_equal(json_array_size(rows), 3); /* deposit, hold, one charge */
		json_decref(rows);
		assert_books_balance(ledger.house);
		house_close(&ledger.house);
	}
}

/* Who may call, and what, is as the owner left it. */
static void what_the_owner_said_is_remembered(void **state)
{
	struct ledger ledger;
	struct house *house;
	struct tool *tool;
	struct policy_ref *policy;
	char *rpc;

	init(state);
	ledger = ledger_open(state);
	house = ledger.house;
	json_decref(result(house, "tool.add",
	    json_pack("{s:s, s:s, s:s, s:s}", "name", "a/b", "url", "https://h/v1/", "billing",
		"metered", "price", "0.02")));
	json_decref(
	    result(house, "tool.add", json_pack("{s:s, s:s}", "name", "gone", "url", "https://g")));
	json_decref(result(house, "tool.remove", json_pack("{s:s}", "tool", "gone")));
	json_decref(result(house, "tool.add",
	    json_pack("{s:s, s:s, s:s}", "name", "checked", "url", "https://c", "delivery",
		"{\"minBytes\": 7}")));
	/* A new tool of an old name does not inherit its check. */
	json_decref(result(house, "tool.add",
	    json_pack("{s:s, s:s, s:s}", "name", "heir", "url", "https://c", "delivery", "{}")));
	json_decref(result(house, "tool.remove", json_pack("{s:s}", "tool", "heir")));
	json_decref(
	    result(house, "tool.add", json_pack("{s:s, s:s}", "name", "heir", "url", "https://c")));
	json_decref(result(house, "agent.suspend", json_pack("{s:s}", "agent", "coder")));
	json_decref(result(house, "token.revoke", json_pack("{s:s}", "session", ledger.session)));
	json_decref(result(house, "network.set",
	    json_pack("{s:s, s:s}", "network", NETWORK, "rpc", "http://127.0.0.1:8545")));
	json_decref(result(house, "policy.set",
	    json_pack(
		"{s:s, s:s}", "agent", "coder", "policy", "{\"rateLimit\":{\"callsPerHour\":7}}")));
	house_close(&house);
	house = open_house(state);
	tool = registry_tool(house->registry, "a/b");
	assert_string_equal(tool->url, "https://h/v1");
	assert_int_equal(tool->billing, TOOL_METERED);
	assert_int_equal(tool->price, 20000);
	tool_unref(&tool);
	assert_null(registry_tool(house->registry, "gone"));
	tool = registry_tool(house->registry, "checked");
	assert_true(delivery_check_reads(tool->delivery));
	tool_unref(&tool);
	tool = registry_tool(house->registry, "heir");
	assert_null(tool->delivery);
	tool_unref(&tool);
	ledger.agent = registry_agent(house->registry, "coder");
	assert_true(atomic_load(&ledger.agent->suspended));
	assert_true(registry_revoked(house->registry, ledger.session));
	rpc = registry_rpc(house->registry, NETWORK);
	assert_string_equal(rpc, "http://127.0.0.1:8545");
	free(rpc);
	policy = registry_policy(house->registry, ledger.agent);
	assert_int_equal(policy->policy->limits[0].max, 7);
	policy_unref(&policy);
	house_close(&house);
}

static void not_ready_while_the_clock_is_stepped(void **state)
{
	static const int64_t steps_s[] = {6, 3600, 86400, -6, -3600, -86400};
	struct house *house;
	char reason[256];
	int64_t before_us;

	init(state);
	house = open_house(state);
	for (size_t i = 0; i < COUNT(steps_s); i++) {
		char words[64];

		assert_true(house_ready(house, reason));
		before_us = clock_now_us();
		real_ahead_us = steps_s[i] * CLOCK_US_PER_S;
		assert_false(house_ready(house, reason));
		snprintf(words, sizeof words, "stepped by %+d s", (int)steps_s[i]);
		assert_non_null(strstr(reason, words));
		assert_non_null(strstr(reason, "60 s"));
		/* Rows go on by the time that was. */
		assert_true(llabs(clock_now_us() - before_us) < CLOCK_DRIFT_US_MAX);
		real_ahead_us = 0;
		assert_true(house_ready(house, reason));
	}
	house_close(&house);
}

/* Set back, and accepted: what is in the ledger is ahead of the clock for a while. */
static void not_ready_until_the_clock_has_caught_up(void **state)
{
	struct house *house;
	char reason[256];
	int64_t newest;

	init(state);
	house = open_house(state);
	newest = store_next_id(house->store, clock_now_us());
	real_ahead_us = -3600 * CLOCK_US_PER_S;
	assert_false(house_ready(house, reason));
	clock_pass(CLOCK_SETTLE_US);
	assert_false(house_ready(house, reason));
	assert_null(strstr(reason, "stepped"));
	assert_non_null(strstr(reason, "behind the newest row"));
	assert_true(store_next_id(house->store, clock_now_us()) > newest);
	/* The hour passes. */
	clock_pass(3600 * CLOCK_US_PER_S);
	if (!house_ready(house, reason))
		fail_msg("%s", reason);
	house_close(&house);
}

static void slots(void **state)
{
	struct house *house;
	unsigned slot = 99;

	init(state);
	house = open_house(state);
	assert_true(house_slot_of(&slot, house, "off-chain", "USD"));
	assert_int_equal(slot, PURSE_OFF_CHAIN);
	assert_true(house_slot_of(&slot, house, NETWORK, ASSET));
	assert_ptr_equal(
	    assets_at(house->assets, slot - 1), assets_default(house->assets, NETWORK));
	slot = 99;
	assert_false(house_slot_of(&slot, house, NETWORK, PAYEE));
	assert_false(house_slot_of(&slot, house, "eip155:1", ASSET));
	assert_false(house_slot_of(&slot, house, "", ""));
	assert_false(house_slot_of(&slot, house, NETWORK, "USD"));
	assert_int_equal(slot, 99);
	house_close(&house);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    in_folder(init_makes_a_folder_once),
	    in_folder(init_goes_on_where_it_was_cut_off),
	    in_folder(init_refuses),
	    in_folder(a_chosen_passphrase_is_dear_to_guess),
	    in_folder(open_when_there_is_nothing),
	    in_folder(open_is_for_one),
	    in_folder(bad_configurations),
	    in_folder(bad_keys),
	    in_folder(systemd_credential_comes_first),
	    in_folder(totals_equal_those_before),
	    in_folder(what_was_signed_is_open_afterwards),
	    in_folder(an_orphaned_hold_is_charged),
	    in_folder(what_the_owner_said_is_remembered),
	    in_folder(not_ready_while_the_clock_is_stepped),
	    in_folder(not_ready_until_the_clock_has_caught_up),
	    in_folder(slots),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
