/* A dispute bundle, checked by somebody who has nothing but it.
 *
 * The first byte: 's' everything before the signature, which the harness adds, so that what an
 * installation of ill will can write is reached; anything else a whole file. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"
#include "proxy/dispute.h"
#include "proxy/dispute_parts.h"
#include "tests/fuzz/fuzz.h"
#include "wallet/personal.h"
#include "wallet/signer.h"

/* The first key of the well-known development mnemonic. */
#define KEY          "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
#define INSTALLATION "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
#define ANOTHER      "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"

static char *sign(const char *part, size_t size)
{
	static struct signer *signer;
	char statement[DISPUTE_STATEMENT_SIZE], text[PERSONAL_SIGNATURE_SIZE];
	uint8_t key[SIGNER_KEY_SIZE], signature[SIGNER_SIGNATURE_SIZE];
	struct digest digest;

	if (signer == NULL)
		signer = signer_new();
	must(hex_decode(key, sizeof(key), KEY));
	dispute_statement(statement, part, size);
	digest = personal_digest(statement, strlen(statement));
	must(signer_sign(signature, signer, key, &digest));
	hex_encode_0x(text, signature, sizeof(signature));
	return must_format("%.*s" DISPUTE_TAIL_START "%s" DISPUTE_TAIL_END, (int)size, part, text);
}

static void check_report(json_t *report)
{
	bool ok = json_is_true(json_object_get(report, "ok"));
	json_t *checks = json_object_get(report, "checks"), *check;
	json_t *problems = json_object_get(report, "problems");
	json_t *proves = json_object_get(report, "proves");
	bool all = true;
	size_t i;
	char *text = json_dumps(report, JSON_COMPACT);

	must(text != NULL);
	free(text);
	must(json_array_size(checks) > 0 && json_is_array(problems) && json_is_array(proves));
	json_array_foreach (checks, i, check)
		all = all && json_is_true(json_object_get(check, "ok"));
	must(ok == all && ok == (json_array_size(problems) == 0));
	must(ok == (json_array_size(proves) > 0));
	if (ok) {
		must(json_str(report, "installation") != NULL);
		must(json_array_size(json_object_get(report, "anchors")) > 0);
		must(json_is_object(json_object_get(report, "facts")));
	}
}

static json_t *check(const char *text, size_t size, const char *installation)
{
	const struct dispute_options options = {.installation = installation};
	json_t *report = dispute_check(text, size, &options);

	check_report(report);
	return report;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *open, *pinned;
	const char *text = (const char *)data + 1;
	char *bundle = NULL;
	bool ok;

	if (size-- == 0)
		return 0;
	if (data[0] == 's') {
		text = bundle = sign(text, strnlen(text, size));
		size = strlen(bundle);
	}
	open = check(text, size, NULL);
	ok = json_is_true(json_object_get(open, "ok"));
	pinned = check(text, size, INSTALLATION);
	must(json_is_true(json_object_get(pinned, "ok")) ==
	     (ok && strcmp(json_str(open, "installation"), INSTALLATION) == 0));
	json_decref(pinned);
	pinned = check(text, size, ANOTHER);
	/* Nobody has its key. */
	must(!json_is_true(json_object_get(pinned, "ok")));
	json_decref(pinned);
	json_decref(open);
	free(bundle);
	return 0;
}
