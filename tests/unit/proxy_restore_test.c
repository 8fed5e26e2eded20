/* A data folder from an archive: the whole of it, or nothing at all. */
#include "proxy/restore.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "ledger/anchor.h"
#include "ledger/verify.h"
#include "proxy/command.h"
#include "proxy/house.h"
#include "proxy/rooms.h"
#include "tests/unit/unit.h"

#define PIECES_MAX 32u

/* One member as it will be written; what the manifest says of it is said before it is spoilt. */
struct piece {
	char name[64];
	char *bytes;
	size_t size;
	unsigned kind; /* AE_IFREG … */
	const char *symlink, *hardlink;
};

struct kit {
	struct piece pieces[PIECES_MAX];
	size_t count;
	struct manifest manifest; /* heads and times; its members are those of pieces */
	char *manifest_text;
};

/* A folder that was used a little, taken apart. */
static struct kit whole;

static void add_file(struct kit *kit, const char *dir, const char *name)
{
	struct piece *piece = &kit->pieces[kit->count++];
	char *path = file_path(dir, name);

	must(kit->count <= PIECES_MAX);
	snprintf(piece->name, sizeof piece->name, "%s", name);
	piece->bytes = file_read(&piece->size, path, 1u << 24);
	piece->kind = AE_IFREG;
	must(piece->bytes != NULL);
	free(path);
}

static void ask(struct house *house, const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args);
	json_t *reply = command_run(house, request, clock_now_us());

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s: %s", name, json_str(reply, "error"));
	json_decref(reply);
	json_decref(request);
}

static int make_whole(void **state)
{
	char dir[] = "/tmp/tallyward-unit-XXXXXX";
	struct house_options options = {.dir = dir, .command = "test"};
	struct verify_report report;
	struct house *house;
	char reason[512];

	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	must(mkdtemp(dir) != NULL);
	must(house_init(reason, &options) == HOUSE_OK);
	must(house_open(&house, reason, &options) == HOUSE_OK);
	ask(house, "agent.add", json_pack("{s:s, s:s}", "name", "coder", "owner", "o"));
	ask(house, "wallet.deposit", json_pack("{s:s, s:s}", "agent", "coder", "amount", "7.00"));
	must(verify_run(&report, house->store) == STORE_OK && report.ok);
	whole.manifest.program = must_strdup("test");
	whole.manifest.made_us = clock_now_us();
	whole.manifest.transactions = report.transactions;
	whole.manifest.audits = report.audits;
	whole.manifest.head = report.head;
	whole.manifest.audit_head = report.audit_head;
	verify_fini(&report);
	house_close(&house);
	add_file(&whole, dir, "tallyward.json");
	add_file(&whole, dir, "policy.json");
	add_file(&whole, dir, "token.key");
	add_file(&whole, dir, "keys/datakey.json");
	add_file(&whole, dir, "keys/coder.key");
	add_file(&whole, dir, "ledger.db");
	file_drop_folder(dir);
	return 0;
}

static int drop_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < whole.count; i++)
		free(whole.pieces[i].bytes);
	manifest_fini(&whole.manifest);
	return 0;
}

static struct kit copy_whole(void)
{
	struct kit kit = whole;

	for (size_t i = 0; i < kit.count; i++) {
		kit.pieces[i].bytes = must_alloc(kit.pieces[i].size + 1);
		memcpy(kit.pieces[i].bytes, whole.pieces[i].bytes, kit.pieces[i].size + 1);
	}
	kit.manifest.program = must_strdup(whole.manifest.program);
	return kit;
}

static void drop_kit(struct kit *kit)
{
	for (size_t i = 0; i < kit->count; i++)
		free(kit->pieces[i].bytes);
	manifest_fini(&kit->manifest);
	free(kit->manifest_text);
}

static struct piece *find(struct kit *kit, const char *name)
{
	for (size_t i = 0; i < kit->count; i++) {
		if (strcmp(kit->pieces[i].name, name) == 0)
			return &kit->pieces[i];
	}
	fail_msg("no %s", name);
	return NULL;
}

static void put(struct kit *kit, const char *name, const void *bytes, size_t size)
{
	struct piece *piece = &kit->pieces[kit->count++];

	must(kit->count <= PIECES_MAX);
	*piece = (struct piece){.bytes = must_alloc(size + 1), .size = size, .kind = AE_IFREG};
	snprintf(piece->name, sizeof piece->name, "%s", name);
	memcpy(piece->bytes, bytes, size);
}

static void say(struct kit *kit, const char *name, const char *text)
{
	struct piece *piece = find(kit, name);

	free(piece->bytes);
	piece->bytes = must_strdup(text);
	piece->size = strlen(text);
}

static void drop(struct kit *kit, const char *name)
{
	struct piece *piece = find(kit, name);

	free(piece->bytes);
	memmove(piece, piece + 1, (size_t)(&kit->pieces[--kit->count] - piece) * sizeof *piece);
}

static void describe(struct kit *kit)
{
	for (size_t i = 0; i < kit->count; i++) {
		struct digest digest = sha256(kit->pieces[i].bytes, kit->pieces[i].size);

		manifest_add(
		    &kit->manifest, kit->pieces[i].name, (int64_t)kit->pieces[i].size, &digest);
	}
	kit->manifest_text = manifest_format(&kit->manifest);
}

static void write_member(struct archive *archive, const struct piece *piece)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, piece->name);
	archive_entry_set_filetype(entry, piece->kind);
	archive_entry_set_perm(entry, 0600);
	if (piece->symlink)
		archive_entry_set_symlink(entry, piece->symlink);
	if (piece->hardlink)
		archive_entry_set_hardlink(entry, piece->hardlink);
	archive_entry_set_size(entry, piece->kind == AE_IFREG ? (la_int64_t)piece->size : 0);
	must(archive_write_header(archive, entry) == ARCHIVE_OK);
	if (piece->kind == AE_IFREG && !piece->hardlink)
		must(archive_write_data(archive, piece->bytes, piece->size) ==
		     (la_ssize_t)piece->size);
	archive_entry_free(entry);
}

/* The archive's bytes; the caller frees them. */
static char *pack(size_t *size, const struct kit *kit, bool compressed)
{
	const size_t capacity = 1u << 24;
	char *bytes = must_alloc(capacity);
	struct archive *archive = archive_write_new();

	must(archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK);
	if (compressed)
		must(archive_write_add_filter_gzip(archive) == ARCHIVE_OK);
	must(archive_write_open_memory(archive, bytes, capacity, size) == ARCHIVE_OK);
	if (kit->manifest_text) {
		struct piece first = {.name = MANIFEST_FILE,
		    .bytes = kit->manifest_text,
		    .size = strlen(kit->manifest_text),
		    .kind = AE_IFREG};

		write_member(archive, &first);
	}
	for (size_t i = 0; i < kit->count; i++)
		write_member(archive, &kit->pieces[i]);
	must(archive_write_close(archive) == ARCHIVE_OK);
	archive_write_free(archive);
	return bytes;
}

static size_t files_in(const char *path)
{
	DIR *folder = opendir(path);
	size_t count = 0;
	struct dirent *entry;

	must(folder != NULL);
	while ((entry = readdir(folder)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(folder);
	return count;
}

static enum restore_result restore(
    struct restored *out, char reason[512], void **state, const void *bytes, size_t size)
{
	char *file = file_path(*state, "backup.tar"), *dir = file_path(*state, "data");
	enum restore_result result;

	assert_true(file_replace(file, bytes, size, 0600));
	result = restore_run(out, reason, file, dir);
	free(file);
	free(dir);
	return result;
}

/* Refused, for this reason, and nothing is there but the archive. */
static void refused(void **state, const char *row, const void *bytes, size_t size,
    enum restore_result expected, const char *words)
{
	struct restored restored;
	char reason[512] = "";
	enum restore_result result;

	memset(&restored, 0x5a, sizeof restored);
	result = restore(&restored, reason, state, bytes, size);
	if (result != expected || !strstr(reason, words))
		fail_msg("%s: %d: %s (not \"%s\")", row, (int)result, reason, words);
	row_check(row, ((uint8_t *)&restored)[0] == 0x5a); /* untouched */
	row_check(row, files_in(*state) == 1);
}

/* --- what is restored ------------------------------------------------------------------- */

static void a_whole_one_works(void **state)
{
	struct kit kit = copy_whole();
	struct house_options options = {.command = "test"};
	char *dir = file_path(*state, "data"), *path, *text;
	struct verify_report report;
	struct restored restored;
	struct house *house = NULL;
	char reason[512] = "";
	struct stat status;
	size_t size;

	describe(&kit);
	text = pack(&size, &kit, false);
	if (restore(&restored, reason, state, text, size) != RESTORE_OK)
		fail_msg("%s", reason);
	free(text);
	assert_int_equal(files_in(*state), 2);
	assert_false(restored.passphrase_there);
	assert_null(restored.anchor_file);
	path = file_path(dir, "passphrase");
	assert_string_equal(restored.passphrase_file, path);
	assert_true(digest_equal(&restored.manifest.head, &whole.manifest.head));
	restored_fini(&restored);
	/* Modes are ours, whatever the archive says. */
	assert_int_equal(stat(dir, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	free(path);
	path = file_path(dir, "token.key");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	free(path);
	/* Without its passphrase it does not open; the books are there. */
	options.dir = dir;
	assert_int_equal(house_open(&house, reason, &options), HOUSE_BAD_KEYS);
	{
		struct store *store = NULL;

		assert_int_equal(store_open(&store, reason, dir, clock_now_us()), STORE_OK);
		assert_int_equal(verify_run(&report, store), STORE_OK);
		assert_true(report.ok);
		assert_int_equal(report.transactions, whole.manifest.transactions);
		verify_fini(&report);
		store_close(&store);
	}
	free(dir);
	drop_kit(&kit);
}

static void the_optional_ones_have_their_places(void **state)
{
	static const struct {
		const char *config, *passphrase; /* NULL: not in the backup */
		bool anchors, there;
		const char *passphrase_file, *anchor_file; /* ends of paths */
		bool apart;
	} rows[] = {
	    {"{}", NULL, false, false, "/data/passphrase", NULL, false},
	    {"{}", "secret", true, true, "/data/passphrase", "/data/anchors", false},
	    {"{\"passphrase_file\":\"/etc/p\"}", "secret", false, false, "/etc/p", NULL, false},
	    {"{\"passphrase_file\":\"p\"}", "secret", false, false, "/data/p", NULL, false},
	    {"{\"anchor_file\":\"heads.log\"}", NULL, true, false, "/data/passphrase",
		"/data/heads.log", false},
	    {"{\"anchor_file\":\"/var/log/a\"}", NULL, true, false, "/data/passphrase",
		"/data/anchors", true},
	    {"{\"anchor_file\":\"../a\"}", NULL, true, false, "/data/passphrase", "/data/anchors",
		true},
	    {"{\"anchor_file\":\"policy.json\"}", NULL, true, false, "/data/passphrase",
		"/data/anchors", true},
	    {"{\"anchor_file\":\"ledger.db-wal\"}", NULL, true, false, "/data/passphrase",
		"/data/anchors", true},
	};
	char *dir = file_path(*state, "data");

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct kit kit = copy_whole();
		struct restored restored;
		char reason[512] = "", *text;
		struct stat status;
		size_t size;

		say(&kit, "tallyward.json", rows[i].config);
		if (rows[i].passphrase)
			put(&kit, "passphrase", rows[i].passphrase, strlen(rows[i].passphrase));
		if (rows[i].anchors)
			put(&kit, "anchors", "", 0);
		describe(&kit);
		text = pack(&size, &kit, false);
		if (restore(&restored, reason, state, text, size) != RESTORE_OK)
			fail_msg("%s: %s", rows[i].config, reason);
		row_check(rows[i].config, restored.passphrase_there == rows[i].there);
		row_check(rows[i].config,
		    strstr(restored.passphrase_file, rows[i].passphrase_file) != NULL);
		row_check(rows[i].config,
		    (restored.anchor_file != NULL) == (rows[i].anchor_file != NULL));
		if (rows[i].anchor_file) {
			row_check(rows[i].config,
			    strstr(restored.anchor_file, rows[i].anchor_file) != NULL);
			row_check(rows[i].config, stat(restored.anchor_file, &status) == 0);
		}
		row_check(rows[i].config, restored.anchors_apart == rows[i].apart);
		row_check(rows[i].config, files_in(*state) == 2);
		restored_fini(&restored);
		free(text);
		drop_kit(&kit);
		file_drop_folder(dir);
	}
	free(dir);
}

static void an_empty_folder_is_filled_another_is_left(void **state)
{
	struct kit kit = copy_whole();
	char *dir = file_path(*state, "data"), *file = file_path(dir, "mine"), *text, *slashed;
	struct restored restored;
	char reason[512];
	size_t size;

	describe(&kit);
	text = pack(&size, &kit, false);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(restore(&restored, reason, state, text, size), RESTORE_OK);
	restored_fini(&restored);
	/* Now it is one. */
	assert_int_equal(restore(&restored, reason, state, text, size), RESTORE_EXISTS);
	file_drop_folder(dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_true(file_replace(file, "x", 1, 0600));
	assert_int_equal(restore(&restored, reason, state, text, size), RESTORE_EXISTS);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);
	/* A file, a link to an empty folder, a dangling link: all something. */
	assert_true(file_replace(dir, "x", 1, 0600));
	assert_int_equal(restore(&restored, reason, state, text, size), RESTORE_EXISTS);
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(symlink("nowhere", dir), 0);
	assert_int_equal(restore(&restored, reason, state, text, size), RESTORE_EXISTS);
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(files_in(*state), 1);
	/* Slashes at the end are none of the name. */
	free(file);
	file = file_path(*state, "backup.tar");
	slashed = must_format("%s//", dir);
	assert_int_equal(restore_run(&restored, reason, file, slashed), RESTORE_OK);
	restored_fini(&restored);
	free(slashed);
	slashed = must_format("%s/no/such", (char *)*state);
	assert_int_equal(restore_run(&restored, reason, file, slashed), RESTORE_FAILED);
	free(slashed);
	free(file);
	free(dir);
	free(text);
	drop_kit(&kit);
}

static void no_archive_there(void **state)
{
	char *file = file_path(*state, "missing.tar"), *dir = file_path(*state, "data");
	struct restored restored;
	char reason[512];

	assert_int_equal(restore_run(&restored, reason, file, dir), RESTORE_NOT_FOUND);
	/* A folder and a pipe have no end to read to. */
	assert_int_equal(restore_run(&restored, reason, *state, dir), RESTORE_BAD);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(restore_run(&restored, reason, file, dir), RESTORE_BAD);
	assert_int_equal(files_in(*state), 1);
	free(file);
	free(dir);
}

/* --- what is not -------------------------------------------------------------------------- */

/* `before` the manifest is made: it agrees with what is spoilt; `after`: it does not. */
static void bad_config(struct kit *kit)
{
	say(kit, "tallyward.json", "{\n\"lisen\": 1}");
}
static void no_config(struct kit *kit)
{
	drop(kit, "tallyward.json");
}
static void empty_config(struct kit *kit)
{
	say(kit, "tallyward.json", "");
}
static void bad_policy(struct kit *kit)
{
	say(kit, "policy.json", "{\"budget\":7}");
}
static void short_secret(struct kit *kit)
{
	find(kit, "token.key")->size = 31;
}
static void no_ledger(struct kit *kit)
{
	drop(kit, "ledger.db");
}
static void no_datakey(struct kit *kit)
{
	drop(kit, "keys/datakey.json");
}
static void words_for_ledger(struct kit *kit)
{
	say(kit, "ledger.db", "these are no pages of a database, however long it takes to say it");
}
static void empty_ledger(struct kit *kit)
{
	say(kit, "ledger.db", "");
}
static void half_a_ledger(struct kit *kit)
{
	find(kit, "ledger.db")->size /= 2;
}
/* A payment made smaller, with every digest of the archive right. */
static void other_rows(struct kit *kit)
{
	struct piece *piece = find(kit, "ledger.db");
	char *at = memmem(piece->bytes, piece->size, "coder", strlen("coder"));

	must(at != NULL);
	memcpy(at, "c0der", 5);
}
static void other_head(struct kit *kit)
{
	kit->manifest.head.bytes[7] ^= 1;
}
static void other_audit_head(struct kit *kit)
{
	kit->manifest.audit_head.bytes[7] ^= 1;
}
static void other_count(struct kit *kit)
{
	kit->manifest.transactions++;
}
static void fewer_audits(struct kit *kit)
{
	kit->manifest.audits--;
}
/* Of a later ledger: this one lacks the rows that it names. */
static void later_anchors(struct kit *kit)
{
	struct anchor anchor = {.number = 1, .time_us = whole.manifest.made_us};
	char line[ANCHOR_LINE_MAX + 1];
	size_t size;

	memset(anchor.installation, 'a', ANCHOR_INSTALLATION);
	memcpy(anchor.installation, "0x", 2);
	memset(anchor.signature, 'b', ANCHOR_SIGNATURE);
	memcpy(anchor.signature, "0x", 2);
	anchor.journal.head = (struct head){900, whole.manifest.made_us, whole.manifest.head};
	anchor.record.head = (struct head){900, 900, whole.manifest.audit_head};
	size = anchor_format(line, &anchor);
	line[size++] = '\n';
	put(kit, "anchors", line, size);
}
static void outside_name(struct kit *kit)
{
	put(kit, "../evil", "x", 1);
}
static void absolute_name(struct kit *kit)
{
	put(kit, "/tmp/evil", "x", 1);
}
static void sneaking_name(struct kit *kit)
{
	put(kit, "keys/../evil", "x", 1);
}
static void unknown_name(struct kit *kit)
{
	put(kit, "ledger.db-wal", "x", 1);
}
static void twice(struct kit *kit)
{
	put(kit, "policy.json", "{}", 2);
}

static void one_byte_of_a_key(struct kit *kit)
{
	find(kit, "keys/coder.key")->bytes[10] ^= 1;
}
static void one_byte_of_the_secret(struct kit *kit)
{
	find(kit, "token.key")->bytes[31] ^= 0x80;
}
static void one_byte_of_the_ledger(struct kit *kit)
{
	struct piece *piece = find(kit, "ledger.db");

	piece->bytes[piece->size - 1] ^= 1;
}
static void a_byte_less(struct kit *kit)
{
	find(kit, "keys/coder.key")->size--;
}
static void renamed_outside(struct kit *kit)
{
	snprintf(find(kit, "keys/coder.key")->name, 64, "../coder.key");
}
static void renamed_absolute(struct kit *kit)
{
	snprintf(find(kit, "keys/coder.key")->name, 64, "/tmp/coder.key");
}
static void another_order(struct kit *kit)
{
	struct piece piece = kit->pieces[0];

	kit->pieces[0] = kit->pieces[1];
	kit->pieces[1] = piece;
}
static void one_missing(struct kit *kit)
{
	drop(kit, "keys/coder.key");
}
static void last_missing(struct kit *kit)
{
	drop(kit, "ledger.db");
}
static void one_more(struct kit *kit)
{
	put(kit, "keys/other.key", "x", 1);
}
static void a_symlink(struct kit *kit)
{
	struct piece *piece = find(kit, "keys/coder.key");

	piece->kind = AE_IFLNK;
	piece->symlink = "/etc/passwd";
}
static void a_hardlink(struct kit *kit)
{
	find(kit, "keys/coder.key")->hardlink = "/etc/passwd";
}
static void a_hardlink_inside(struct kit *kit)
{
	find(kit, "keys/coder.key")->hardlink = "token.key";
}
static void a_folder(struct kit *kit)
{
	find(kit, "keys/coder.key")->kind = AE_IFDIR;
}
static void a_pipe(struct kit *kit)
{
	find(kit, "keys/coder.key")->kind = AE_IFIFO;
}
static void a_device(struct kit *kit)
{
	find(kit, "keys/coder.key")->kind = AE_IFCHR;
}
static void no_manifest(struct kit *kit)
{
	free(kit->manifest_text);
	kit->manifest_text = NULL;
}
static void other_manifest(struct kit *kit)
{
	free(kit->manifest_text);
	kit->manifest_text = must_strdup("{\"format\":\"tallyward backup\",\"version\":2}");
}
static void no_members(struct kit *kit)
{
	while (kit->count > 0)
		free(kit->pieces[--kit->count].bytes);
}

static void tampered_archives_are_refused(void **state)
{
	static const struct {
		const char *name;
		void (*before)(struct kit *kit), (*after)(struct kit *kit);
		const char *words;
	} rows[] = {
	    {"bad config", bad_config, NULL, "tallyward.json:2: lisen: unknown key"},
	    {"no config", no_config, NULL, "has no tallyward.json"},
	    {"empty config", empty_config, NULL, "tallyward.json"},
	    {"bad policy", bad_policy, NULL, "policy.json:1: budget"},
	    {"short secret", short_secret, NULL, "token.key has another size"},
	    {"no ledger", no_ledger, NULL, "has no ledger.db"},
	    {"no datakey", no_datakey, NULL, "has no keys/datakey.json"},
	    {"words for a ledger", words_for_ledger, NULL, "the ledger in the backup"},
	    {"empty ledger", empty_ledger, NULL, "the ledger in the backup"},
	    {"half a ledger", half_a_ledger, NULL, "the ledger in the backup"},
	    {"other rows", other_rows, NULL, "the ledger in the backup is damaged"},
	    {"other head", other_head, NULL, "does not end where the manifest says"},
	    {"other audit head", other_audit_head, NULL, "does not end where the manifest says"},
	    {"other count", other_count, NULL, "does not end where the manifest says"},
	    {"fewer audits", fewer_audits, NULL, "does not end where the manifest says"},
	    {"later anchors", later_anchors, NULL, "the ledger in the backup is damaged"},
	    {"outside name", outside_name, NULL, "none of a data folder's"},
	    {"absolute name", absolute_name, NULL, "none of a data folder's"},
	    {"sneaking name", sneaking_name, NULL, "none of a data folder's"},
	    {"unknown name", unknown_name, NULL, "none of a data folder's"},
	    {"twice", twice, NULL, "names policy.json twice"},
	    {"one byte of a key", NULL, one_byte_of_a_key, "keys/coder.key is not the one"},
	    {"one byte of the secret", NULL, one_byte_of_the_secret, "token.key is not the one"},
	    {"one byte of the ledger", NULL, one_byte_of_the_ledger, "ledger.db is not the one"},
	    {"a byte less", NULL, a_byte_less, "keys/coder.key has another size"},
	    {"renamed outside", NULL, renamed_outside, "another file where keys/coder.key"},
	    {"renamed absolute", NULL, renamed_absolute, "another file where keys/coder.key"},
	    {"another order", NULL, another_order, "another file where tallyward.json"},
	    {"one missing", NULL, one_missing, "another file where keys/coder.key"},
	    {"last missing", NULL, last_missing, "damaged"},
	    {"one more", NULL, one_more, "more than its manifest names"},
	    {"a symlink", NULL, a_symlink, "no plain file"},
	    {"a hard link", NULL, a_hardlink, "no plain file"},
	    {"a hard link inside", NULL, a_hardlink_inside, "no plain file"},
	    {"a folder", NULL, a_folder, "keys/coder.key"},
	    {"a pipe", NULL, a_pipe, "no plain file"},
	    {"a device", NULL, a_device, "no plain file"},
	    {"no manifest", NULL, no_manifest, "another file where manifest.json"},
	    {"other manifest", NULL, other_manifest, "version"},
	    {"no members", NULL, no_members, "damaged"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct kit kit = copy_whole();
		char *bytes;
		size_t size;

		if (rows[i].before)
			rows[i].before(&kit);
		describe(&kit);
		if (rows[i].after)
			rows[i].after(&kit);
		bytes = pack(&size, &kit, false);
		refused(state, rows[i].name, bytes, size, RESTORE_BAD, rows[i].words);
		free(bytes);
		drop_kit(&kit);
	}
}

static void what_is_no_archive_is_refused(void **state)
{
	static const char *const texts[] = {
	    "", "x", "{}", "\x1f\x8b\x08", "PK\x03\x04", "!<arch>\n"};
	struct kit kit = copy_whole();
	char *bytes, *zeros = must_calloc(1, 20480);
	size_t size;

	for (size_t i = 0; i < COUNT(texts); i++)
		refused(state, texts[i], texts[i], strlen(texts[i]), RESTORE_BAD, "damaged");
	refused(state, "zeros", zeros, 20480, RESTORE_BAD, "damaged");
	describe(&kit);
	bytes = pack(&size, &kit, true);
	refused(state, "compressed", bytes, size, RESTORE_BAD, "damaged");
	free(bytes);
	free(zeros);
	drop_kit(&kit);
}

/* Cut off anywhere before its last byte of content; and one bit of any block turned. */
static void cut_and_spoilt_archives_are_refused(void **state)
{
	struct kit kit = copy_whole();
	size_t size, content;
	char *bytes;

	describe(&kit);
	bytes = pack(&size, &kit, false);
	/* Behind the last member are two empty blocks and padding. */
	content = size;
	while (content > 0 && bytes[content - 1] == 0)
		content--;
	for (int i = 0; i < 40; i++) {
		char row[32];
		size_t at = content * (size_t)i / 40;

		snprintf(row, sizeof row, "cut at %zu", at);
		refused(state, row, bytes, at, RESTORE_BAD, "");
	}
	for (int i = 0; i < 60; i++) {
		size_t at = (content - 1) * (size_t)i / 59;
		struct restored restored;
		char reason[512];

		bytes[at] ^= 0x10;
		/* Some fields of a header mean nothing here, such as the time in it, but its
		 * sum covers them. */
		if (restore(&restored, reason, state, bytes, size) != RESTORE_BAD)
			fail_msg("a bit turned at %zu", at);
		assert_int_equal(files_in(*state), 1);
		bytes[at] ^= 0x10;
	}
	free(bytes);
	drop_kit(&kit);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    in_folder(a_whole_one_works),
	    in_folder(the_optional_ones_have_their_places),
	    in_folder(an_empty_folder_is_filled_another_is_left),
	    in_folder(no_archive_there),
	    in_folder(tampered_archives_are_refused),
	    in_folder(what_is_no_archive_is_refused),
	    in_folder(cut_and_spoilt_archives_are_refused),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, make_whole, drop_whole);
}
