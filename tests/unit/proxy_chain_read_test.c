/* Answers of JSON-RPC endpoints, and everything that only looks like one. */
#include "proxy/chain_read.h"

#include "common/bytes.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#define H1 "0x1111111111111111111111111111111111111111111111111111111111111111"
#define H2 "0x2222222222222222222222222222222222222222222222222222222222222222"
#define A1 "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
#define W0 "0x0000000000000000000000000000000000000000000000000000000000000000"
#define W1 "0x0000000000000000000000000000000000000000000000000000000000000001"

/* What a row says in place of a tree; NULL for text that is no JSON. */
static json_t *tree_of(const char *row, const char *text)
{
	struct json_error error;
	json_t *tree = json_read(&error, text, strlen(text), 1u << 20);

	if (tree == NULL)
		fail_msg("row \"%s\": %s", row, error.reason);
	return tree;
}

/* --- quantities and words --- */

static void quantities(void **state)
{
	static const struct {
		const char *text;
		int64_t value;        /* -1: refused */
		const char *value256; /* NULL: refused */
	} rows[] = {
	    {"\"0x0\"", 0, "0"},
	    {"\"0x1\"", 1, "1"},
	    {"\"0xff\"", 255, "255"},
	    {"\"0xFf\"", 255, "255"},
	    {"\"0x7fffffffffffffff\"", INT64_MAX, "9223372036854775807"},
	    {"\"0x8000000000000000\"", -1, "9223372036854775808"},
	    {"\"0xffffffffffffffff\"", -1, "18446744073709551615"},
	    {"\"0x10000000000000000\"", -1, "18446744073709551616"},
	    {"\"0x10000000000000001\"", -1, "18446744073709551617"},
	    {"\"0x00\"", -1, NULL},
	    {"\"0x01\"", -1, NULL},
	    {"\"0x\"", -1, NULL},
	    {"\"\"", -1, NULL},
	    {"\"0\"", -1, NULL},
	    {"\"1\"", -1, NULL},
	    {"\"ff\"", -1, NULL},
	    {"\"0X1\"", -1, NULL},
	    {"\"0x1g\"", -1, NULL},
	    {"\"0x-1\"", -1, NULL},
	    {"\"-0x1\"", -1, NULL},
	    {"\"+0x1\"", -1, NULL},
	    {"\"0x1 \"", -1, NULL},
	    {"\" 0x1\"", -1, NULL},
	    {"\"0x1.0\"", -1, NULL},
	    {"\"0x1\\n\"", -1, NULL},
	    {"1", -1, NULL},
	    {"0", -1, NULL},
	    {"1.0", -1, NULL},
	    {"true", -1, NULL},
	    {"null", -1, NULL},
	    {"[]", -1, NULL},
	    {"{}", -1, NULL},
	    {"[\"0x1\"]", -1, NULL},
	};
	static const char *const long256[] = {
	    "\"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"",
	    "\"0x10000000000000000000000000000000000000000000000000000000000000000\"",
	};
	struct uint256 wide;
	json_t *tree;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t value = -7;
		char text[UINT256_TEXT_SIZE];
		bool ok, ok256;

		wide = uint256_of(7);
		tree = tree_of(rows[i].text, rows[i].text);
		ok = chain_read_quantity(&value, tree);
		ok256 = chain_read_quantity256(&wide, tree);
		row_check(rows[i].text, ok == (rows[i].value >= 0));
		row_check(rows[i].text, value == (ok ? rows[i].value : -7));
		row_check(rows[i].text, ok256 == (rows[i].value256 != NULL));
		row_check(rows[i].text,
		    strcmp(uint256_format(text, &wide), ok256 ? rows[i].value256 : "7") == 0);
		json_decref(tree);
	}
	for (size_t i = 0; i < COUNT(long256); i++) {
		tree = tree_of("long", long256[i]);
		assert_int_equal(chain_read_quantity256(&wide, tree), i == 0);
		json_decref(tree);
	}
	assert_false(chain_read_quantity256(&wide, NULL));
}

static void words(void **state)
{
	static const struct {
		const char *text;
		bool word, hash;
		int flag; /* -1: none */
	} rows[] = {
	    {"\"" W0 "\"", true, false, 0},
	    {"\"" W1 "\"", true, true, 1},
	    {"\"" H1 "\"", true, true, -1},
	    {"\"0xABCDEF1111111111111111111111111111111111111111111111111111111111\"", true, true,
		-1},
	    {"\"0x0000000000000000000000000000000000000000000000000000000000000002\"", true, true,
		-1},
	    {"\"0x0100000000000000000000000000000000000000000000000000000000000001\"", true, true,
		-1},
	    {"\"0x0000000000000000000000000000000000000000000000000000000000000100\"", true, true,
		-1},
	    {"\"0x\"", false, false, -1},
	    {"\"0x0\"", false, false, -1},
	    {"\"0x1\"", false, false, -1},
	    {"\"0x00\"", false, false, -1},
	    {"\"\"", false, false, -1},
	    {"\"false\"", false, false, -1},
	    {"false", false, false, -1},
	    {"true", false, false, -1},
	    {"null", false, false, -1},
	    {"0", false, false, -1},
	    {"1", false, false, -1},
	    {"[]", false, false, -1},
	    {"\"0000000000000000000000000000000000000000000000000000000000000000\"", false, false,
		-1},
	    {"\"0x000000000000000000000000000000000000000000000000000000000000000\"", false, false,
		-1},
	    {"\"0x00000000000000000000000000000000000000000000000000000000000000000\"", false,
		false, -1},
	    {"\"0x000000000000000000000000000000000000000000000000000000000000000000\"", false,
		false, -1},
	    {"\"" W0 "0000000000000000000000000000000000000000000000000000000000000000\"", false,
		false, -1},
	    {"\"0x000000000000000000000000000000000000000000000000000000000000000g\"", false, false,
		-1},
	    {"\"0x 00000000000000000000000000000000000000000000000000000000000000\"", false, false,
		-1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *tree = tree_of(rows[i].text, rows[i].text);
		uint8_t word[32];
		char hash[CHAIN_TEXT_SIZE] = "untouched";
		bool flag = rows[i].flag != 1;
		bool ok = chain_read_hash(hash, tree);

		row_check(rows[i].text, chain_read_word(word, tree) == rows[i].word);
		row_check(rows[i].text, ok == rows[i].hash);
		row_check(rows[i].text, ok || strcmp(hash, "untouched") == 0);
		row_check(rows[i].text, strspn(hash, "0x123456789abcdefuntouched") == strlen(hash));
		row_check(rows[i].text, chain_read_flag(&flag, tree) == (rows[i].flag >= 0));
		row_check(rows[i].text,
		    flag == (rows[i].flag >= 0 ? rows[i].flag == 1 : rows[i].flag != 1));
		json_decref(tree);
	}
	assert_false(chain_read_word((uint8_t[32]){0}, NULL));
}

/* --- blocks --- */

#define BLOCK(number, hash, time)                                                                  \
	"{\"number\":" number ",\"hash\":" hash ",\"timestamp\":" time ",\"parentHash\":\"x\"}"

static void blocks(void **state)
{
	static const struct {
		const char *name, *text;
		bool ok;
	} rows[] = {
	    {"good", BLOCK("\"0x10\"", "\"" H1 "\"", "\"0x6900\""), true},
	    {"first", BLOCK("\"0x0\"", "\"" H1 "\"", "\"0x0\""), true},
	    {"2^53", BLOCK("\"0x20000000000000\"", "\"" H1 "\"", "\"0x0\""), true},
	    {"past 2^53", BLOCK("\"0x20000000000001\"", "\"" H1 "\"", "\"0x0\""), false},
	    {"past int64", BLOCK("\"0xffffffffffffffff\"", "\"" H1 "\"", "\"0x0\""), false},
	    {"year 9999", BLOCK("\"0x1\"", "\"" H1 "\"", "\"0x3afff4417f\""), true},
	    {"year 10000", BLOCK("\"0x1\"", "\"" H1 "\"", "\"0x3afff44180\""), false},
	    {"pending", BLOCK("\"0x1\"", "null", "\"0x1\""), false},
	    {"pending, no number", BLOCK("null", "\"" H1 "\"", "\"0x1\""), false},
	    {"hash of zeros", BLOCK("\"0x1\"", "\"" W0 "\"", "\"0x1\""), false},
	    {"short hash", BLOCK("\"0x1\"", "\"0x11\"", "\"0x1\""), false},
	    {"decimal number", BLOCK("\"16\"", "\"" H1 "\"", "\"0x1\""), false},
	    {"a JSON number", BLOCK("16", "\"" H1 "\"", "\"0x1\""), false},
	    {"leading zero", BLOCK("\"0x010\"", "\"" H1 "\"", "\"0x1\""), false},
	    {"decimal time", BLOCK("\"0x1\"", "\"" H1 "\"", "1700000000"), false},
	    {"no time", "{\"number\":\"0x1\",\"hash\":\"" H1 "\"}", false},
	    {"no hash", "{\"number\":\"0x1\",\"timestamp\":\"0x1\"}", false},
	    {"no number", "{\"timestamp\":\"0x1\",\"hash\":\"" H1 "\"}", false},
	    {"null", "null", false},
	    {"true", "true", false},
	    {"text", "\"0x1\"", false},
	    {"list", "[" BLOCK("\"0x1\"", "\"" H1 "\"", "\"0x1\"") "]", false},
	    {"empty", "{}", false},
	};
	struct chain_block block;
	struct uint256 fee;
	json_t *tree;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		block = (struct chain_block){.number = -7};
		tree = tree_of(rows[i].name, rows[i].text);
		row_check(rows[i].name, chain_read_block(&block, tree) == rows[i].ok);
		row_check(rows[i].name, rows[i].ok || block.number == -7);
		row_check(rows[i].name, !chain_read_base_fee(&fee, tree));
		json_decref(tree);
	}
	tree = tree_of("values", "{\"number\":\"0x10\",\"hash\":\"" H2
				 "\",\"timestamp\":\"0x6900\",\"baseFeePerGas\":\"0x3b9aca00\"}");
	assert_true(chain_read_block(&block, tree));
	assert_int_equal(block.number, 16);
	assert_int_equal(block.time_s, 0x6900);
	assert_string_equal(block.hash, H2);
	assert_true(chain_read_base_fee(&fee, tree));
	assert_int_equal(
	    fee.be[31] | fee.be[30] << 8 | fee.be[29] << 16 | fee.be[28] << 24, 1000000000);
	json_decref(tree);
}

/* --- logs --- */

#define LOG(address, topics, data, rest)                                                           \
	"{\"address\":" address ",\"topics\":" topics ",\"data\":" data                            \
	",\"blockNumber\":\"0x10\","                                                               \
	"\"blockHash\":\"" H1 "\",\"transactionHash\":\"" H2 "\"" rest "}"
#define AT ",\"logIndex\":\"0x3\""

static void logs(void **state)
{
	static const struct {
		const char *name, *text;
		bool ok;
	} rows[] = {
	    {"good", LOG("\"" A1 "\"", "[\"" H1 "\"]", "\"0x\"", AT), true},
	    {"not removed", LOG("\"" A1 "\"", "[\"" H1 "\"]", "\"0x\"", AT ",\"removed\":false"),
		true},
	    {"removed", LOG("\"" A1 "\"", "[\"" H1 "\"]", "\"0x\"", AT ",\"removed\":true"), false},
	    {"removed: text", LOG("\"" A1 "\"", "[]", "\"0x\"", AT ",\"removed\":\"false\""),
		false},
	    {"removed: null", LOG("\"" A1 "\"", "[]", "\"0x\"", AT ",\"removed\":null"), false},
	    {"removed: 0", LOG("\"" A1 "\"", "[]", "\"0x\"", AT ",\"removed\":0"), false},
	    {"no topic", LOG("\"" A1 "\"", "[]", "\"0x\"", AT), true},
	    {"four topics",
		LOG("\"" A1 "\"", "[\"" H1 "\",\"" H1 "\",\"" H1 "\",\"" H1 "\"]", "\"0x\"", AT),
		true},
	    {"five topics",
		LOG("\"" A1 "\"", "[\"" H1 "\",\"" H1 "\",\"" H1 "\",\"" H1 "\",\"" H1 "\"]",
		    "\"0x\"", AT),
		false},
	    {"topic null", LOG("\"" A1 "\"", "[\"" H1 "\",null]", "\"0x\"", AT), false},
	    {"topic short", LOG("\"" A1 "\"", "[\"0x11\"]", "\"0x\"", AT), false},
	    {"topics no list", LOG("\"" A1 "\"", "\"" H1 "\"", "\"0x\"", AT), false},
	    {"topics null", LOG("\"" A1 "\"", "null", "\"0x\"", AT), false},
	    {"data", LOG("\"" A1 "\"", "[]", "\"0xabCD\"", AT), true},
	    {"data of half a byte", LOG("\"" A1 "\"", "[]", "\"0xabc\"", AT), false},
	    {"data of no digits", LOG("\"" A1 "\"", "[]", "\"0xzz\"", AT), false},
	    {"data without 0x", LOG("\"" A1 "\"", "[]", "\"abcd\"", AT), false},
	    {"data empty", LOG("\"" A1 "\"", "[]", "\"\"", AT), false},
	    {"data null", LOG("\"" A1 "\"", "[]", "null", AT), false},
	    {"data a number", LOG("\"" A1 "\"", "[]", "5", AT), false},
	    {"address short", LOG("\"0x036C\"", "[]", "\"0x\"", AT), false},
	    {"address long", LOG("\"" A1 "00\"", "[]", "\"0x\"", AT), false},
	    {"address without 0x",
		LOG("\"036CbD53842c5426634e7929541eC2318f3dCF7e\"", "[]", "\"0x\"", AT), false},
	    {"address null", LOG("null", "[]", "\"0x\"", AT), false},
	    {"no index", LOG("\"" A1 "\"", "[]", "\"0x\"", ""), false},
	    {"index null", LOG("\"" A1 "\"", "[]", "\"0x\"", ",\"logIndex\":null"), false},
	    {"index below zero", LOG("\"" A1 "\"", "[]", "\"0x\"", ",\"logIndex\":\"-0x1\""),
		false},
	    {"null", "null", false},
	    {"a number", "1", false},
	    {"a list", "[]", false},
	    {"empty", "{}", false},
	    {"no block",
		"{\"address\":\"" A1 "\",\"topics\":[],\"data\":\"0x\",\"blockNumber\":null,"
		"\"blockHash\":null,\"transactionHash\":\"" H2 "\",\"logIndex\":\"0x0\"}",
		false},
	    {"no transaction",
		"{\"address\":\"" A1 "\",\"topics\":[],\"data\":\"0x\",\"blockNumber\":\"0x1\","
		"\"blockHash\":\"" H1 "\",\"logIndex\":\"0x0\"}",
		false},
	};
	struct chain_log log;
	json_t *tree;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		log = (struct chain_log){.index = -7};
		tree = tree_of(rows[i].name, rows[i].text);
		row_check(rows[i].name, chain_read_log(&log, tree) == rows[i].ok);
		row_check(rows[i].name, rows[i].ok || log.index == -7);
		json_decref(tree);
	}
	tree = tree_of("values", LOG("\"" A1 "\"", "[\"" H1 "\",\"" W1 "\"]", "\"" W1 "ff\"", AT));
	assert_true(chain_read_log(&log, tree));
	assert_int_equal(log.contract.bytes[0], 0x03);
	assert_int_equal(log.contract.bytes[19], 0x7e);
	assert_int_equal(log.topic_count, 2);
	assert_int_equal(log.topics[0].bytes[5], 0x11);
	assert_int_equal(log.topics[1].bytes[31], 1);
	assert_int_equal(log.data_size, 33);
	assert_int_equal(log.word[31], 1);
	assert_int_equal(log.block_number, 16);
	assert_int_equal(log.index, 3);
	assert_string_equal(log.block_hash, H1);
	assert_string_equal(log.transaction, H2);
	json_decref(tree);
}

/* --- receipts --- */

#define RECEIPT(status, logs)                                                                      \
	"{\"transactionHash\":\"" H2 "\",\"blockHash\":\"" H1 "\",\"blockNumber\":\"0x10\","       \
	"\"status\":" status ",\"logs\":" logs "}"
#define LOG_AT(index) LOG("\"" A1 "\"", "[]", "\"0x\"", ",\"logIndex\":\"" index "\"")
#define LOG_ELSEWHERE(number, block, transaction)                                                  \
	"{\"address\":\"" A1 "\",\"topics\":[],\"data\":\"0x\",\"blockNumber\":\"" number "\","    \
	"\"blockHash\":\"" block "\",\"transactionHash\":\"" transaction "\","                     \
	"\"logIndex\":\"0x0\"}"

static void receipts(void **state)
{
	static const struct {
		const char *name, *text;
		int success; /* -1: junk */
	} rows[] = {
	    {"good", RECEIPT("\"0x1\"", "[" LOG_AT("0x0") "," LOG_AT("0x1") "]"), 1},
	    {"good, a gap", RECEIPT("\"0x1\"", "[" LOG_AT("0x1") "," LOG_AT("0x9") "]"), 1},
	    {"good, no logs", RECEIPT("\"0x1\"", "[]"), 1},
	    {"failed", RECEIPT("\"0x0\"", "[]"), 0},
	    {"status 2", RECEIPT("\"0x2\"", "[]"), -1},
	    {"status 01", RECEIPT("\"0x01\"", "[]"), -1},
	    {"status true", RECEIPT("true", "[]"), -1},
	    {"status 1", RECEIPT("1", "[]"), -1},
	    {"status null", RECEIPT("null", "[]"), -1},
	    {"logs null", RECEIPT("\"0x1\"", "null"), -1},
	    {"logs no list", RECEIPT("\"0x1\"", "{}"), -1},
	    {"a log that is none", RECEIPT("\"0x1\"", "[" LOG_AT("0x0") ",null]"), -1},
	    {"one log twice", RECEIPT("\"0x1\"", "[" LOG_AT("0x1") "," LOG_AT("0x1") "]"), -1},
	    {"logs backwards", RECEIPT("\"0x1\"", "[" LOG_AT("0x2") "," LOG_AT("0x1") "]"), -1},
	    {"log of another number", RECEIPT("\"0x1\"", "[" LOG_ELSEWHERE("0x11", H1, H2) "]"),
		-1},
	    {"log of another block", RECEIPT("\"0x1\"", "[" LOG_ELSEWHERE("0x10", H2, H2) "]"), -1},
	    {"log of another transaction",
		RECEIPT("\"0x1\"", "[" LOG_ELSEWHERE("0x10", H1, H1) "]"), -1},
	    {"pending",
		"{\"transactionHash\":\"" H2 "\",\"blockHash\":null,\"blockNumber\":null,"
		"\"status\":null,\"logs\":[]}",
		-1},
	    {"without a status (before Byzantium)",
		"{\"transactionHash\":\"" H2 "\",\"blockHash\":\"" H1
		"\",\"blockNumber\":\"0x10\",\"root\":\"" H1 "\",\"logs\":[]}",
		-1},
	    {"null", "null", -1},
	    {"a list", "[]", -1},
	    {"empty", "{}", -1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct chain_receipt receipt = {.block_number = -7};
		json_t *tree = tree_of(rows[i].name, rows[i].text);
		bool ok = chain_read_receipt(&receipt, tree);

		row_check(rows[i].name, ok == (rows[i].success >= 0));
		row_check(rows[i].name, receipt.block_number == (ok ? 16 : -7));
		row_check(rows[i].name, receipt.success == (rows[i].success == 1));
		json_decref(tree);
	}
}

/* --- questions --- */

static void assert_text(json_t *value, const char *text)
{
	assert_string_equal(json_string_value(value), text);
	json_decref(value);
}

static void questions(void **state)
{
	struct chain_topics topics = chain_topics();
	struct address address, back = {{9}};
	struct digest words[2];

	(void)state;
	assert_text(chain_quantity(0), "0x0");
	assert_text(chain_quantity(255), "0xff");
	assert_text(chain_quantity(INT64_MAX), "0x7fffffffffffffff");
	assert_text(chain_data("\x00\xff", 2), "0x00ff");
	assert_text(chain_data("", 0), "0x");
	/* As every block explorer shows them. */
	assert_text(chain_data(&topics.used, 32),
	    "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5");
	assert_text(chain_data(&topics.cancelled, 32),
	    "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81");
	assert_text(chain_data(&topics.transfer, 32),
	    "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
	assert_true(address_parse(&address, A1));
	words[0] = chain_topic_address(&address);
	assert_text(chain_data(&words[0], 32),
	    "0x000000000000000000000000036cbd53842c5426634e7929541ec2318f3dcf7e");
	assert_text(chain_call_data("balanceOf(address)", words, 1),
	    "0x70a08231000000000000000000000000036cbd53842c5426634e7929541ec2318f3dcf7e");
	memset(&words[1], 0x11, 32);
	assert_text(chain_call_data("authorizationState(address,bytes32)", words, 2),
	    "0xe94a0102000000000000000000000000036cbd53842c5426634e7929541ec2318f3dcf7e"
	    "1111111111111111111111111111111111111111111111111111111111111111");
	assert_true(chain_topic_to_address(&back, &words[0]));
	assert_true(address_equal(&back, &address));
	assert_false(chain_topic_to_address(&back, &words[1]));
	words[0].bytes[11] = 1;
	assert_false(chain_topic_to_address(&back, &words[0]));
	assert_true(address_equal(&back, &address));
	assert_aborts(json_decref(chain_quantity(-1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quantities),
	    cmocka_unit_test(words),
	    cmocka_unit_test(blocks),
	    cmocka_unit_test(logs),
	    cmocka_unit_test(receipts),
	    cmocka_unit_test(questions),
	};

	return unit_run(tests);
}
