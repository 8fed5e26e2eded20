/* cli/client.c - the admin socket first, the data folder itself second. */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/log.h"
#include "proxy/house.h"

/* Nobody answers a connection to a local socket slowly; a command may verify, export
 * or back up years of ledger. */
#define CONNECT_S_MAX 5L
#define ANSWER_S_MAX  3600L
#define REPLY_SIZE_MAX ((size_t)1 << 30)

/* A daemon that is starting holds the lock before its socket is there, and another command
 * holds it for as long as scrypt takes: both are over in a moment. */
#define BUSY_US_MAX  (INT64_C(5) * CLOCK_US_PER_S)
#define BUSY_NAP_NS  50000000L

enum asked {
	ASKED_ANSWERED = 0,
	ASKED_NOBODY = 1, /* no daemon listens there: nothing was sent */
	ASKED_FAILED = 2, /* said on stderr */
};

static size_t take_bytes(char *bytes, size_t one, size_t count, void *arg)
{
	struct buf *reply = arg;

	buf_add(reply, bytes, one * count);
	return buf_ok(reply) ? one * count : 0;
}

/* An easy handle for one POST of text, or NULL. *headers is the caller's to free. */
static CURL *prepare(struct curl_slist **headers, struct buf *reply, const char *socket_path,
    const char *text)
{
	CURL *curl = curl_easy_init();
	bool ok = curl != NULL;

	*headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (*headers != NULL)
		ok = ok && curl_slist_append(*headers, "Expect:") != NULL;
	ok = ok && *headers != NULL;
	ok = ok && curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_URL, "http://tallyward/command") == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S_MAX) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_S_MAX) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK;
	ok = ok && curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply) == CURLE_OK;
	if (!ok) {
		curl_easy_cleanup(curl);
		curl = NULL;
	}
	return curl;
}

/* What a transfer's end means. */
static enum asked judge(CURL *curl, CURLcode code, const char *socket_path)
{
	long error = 0;

	if (code == CURLE_OK)
		return ASKED_ANSWERED;
	(void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	/* A path too long for a socket is one where no daemon can listen either. */
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return ASKED_NOBODY;
	if (code == CURLE_COULDNT_CONNECT && error != EACCES && error != EPERM)
		return ASKED_NOBODY;
	if (code == CURLE_COULDNT_CONNECT)
		output_error("%s: %s: run the command as the user the daemon runs as", socket_path,
		    strerror((int)error));
	else
		output_error("%s: the daemon took the command but gave no answer (%s): look at its "
			     "log and at what is there before trying again",
		    socket_path, curl_easy_strerror(code));
	return ASKED_FAILED;
}

static enum asked ask_daemon(json_t **out, const char *socket_path, const char *text)
{
	struct curl_slist *headers = NULL;
	struct buf bytes;
	json_error_t error;
	enum asked asked = ASKED_FAILED;
	json_t *reply;
	CURL *curl;

	buf_init(&bytes, REPLY_SIZE_MAX);
	curl = prepare(&headers, &bytes, socket_path, text);
	if (curl == NULL) {
		output_error("could not prepare the request to the daemon: out of memory");
		goto out;
	}
	asked = judge(curl, curl_easy_perform(curl), socket_path);
	if (asked != ASKED_ANSWERED)
		goto out;
	/* The daemon is ourselves: its answer needs none of the limits strangers get. */
	reply = json_loadb(buf_str(&bytes), bytes.size, 0, &error);
	if (reply == NULL) {
		output_error("%s: the answer there is not tallyward's: %s", socket_path,
		    error.text);
		asked = ASKED_FAILED;
		goto out;
	}
	*out = reply;
out:
	if (bytes.data != NULL)
		bytes_wipe(bytes.data, bytes.size);
	buf_fini(&bytes);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return asked;
}

/* The exit status of a house that did not open, the reason said. */
static enum command_exit say_house(const struct cli *cli, enum house_result result,
    const char *socket_path, const char *reason)
{
	switch (result) {
	case HOUSE_OK:
		break;
	case HOUSE_LOCKED:
		output_error("%s is in use, but nobody answers on %s (%s): wait for that process "
			     "to end, or stop it",
		    cli->dir, socket_path, reason);
		return COMMAND_UNREACHABLE;
	case HOUSE_NOT_FOUND:
		output_error("%s", reason);
		return COMMAND_NOT_FOUND;
	case HOUSE_EXISTS:
	case HOUSE_BAD_CONFIG:
	case HOUSE_BAD_KEYS:
	case HOUSE_BROKEN:
		output_error("%s", reason);
		break;
	}
	return COMMAND_FAILED;
}

/* Asks until somebody carries the command out or the folder stays busy for too long. */
static enum command_exit carry_out(json_t **reply, const struct cli *cli, const char *socket_path,
    const json_t *request, const char *text)
{
	const struct house_options options = {.dir = cli->dir, .command = "cli"};
	const struct timespec nap = {.tv_nsec = BUSY_NAP_NS};
	int64_t give_up_us = clock_mono_us() + BUSY_US_MAX;
	enum house_result result;
	struct house *house = NULL;
	char reason[512] = "";

	/* What a daemon would write to its log, the command says in its result or its error. */
	log_set_level(LOG_ERROR);
	for (;;) {
		enum asked asked = ask_daemon(reply, socket_path, text);

		if (asked != ASKED_NOBODY)
			return asked == ASKED_ANSWERED ? COMMAND_DONE : COMMAND_UNREACHABLE;
		result = house_open(&house, reason, &options);
		if (result != HOUSE_LOCKED || clock_mono_us() >= give_up_us)
			break;
		nanosleep(&nap, NULL);
	}
	if (result != HOUSE_OK)
		return say_house(cli, result, socket_path, reason);
	*reply = command_run(house, request, clock_now_us());
	house_close(&house);
	return COMMAND_DONE;
}

/* The reply's result, or its error said. */
static enum command_exit take_reply(json_t **out, const json_t *reply)
{
	const json_t *warnings = json_object_get(reply, "warnings");
	const char *error = json_string_value(json_object_get(reply, "error"));
	json_int_t status = json_integer_value(json_object_get(reply, "exit"));
	json_t *result = json_object_get(reply, "result");

	for (size_t i = 0; i < json_array_size(warnings); i++) {
		const char *warning = json_string_value(json_array_get(warnings, i));

		if (warning != NULL)
			output_warning("%s", warning);
	}
	if (json_is_true(json_object_get(reply, "ok")) && result != NULL) {
		*out = json_incref(result);
		return COMMAND_DONE;
	}
	output_error("%s",
	    error != NULL ? error : "the daemon's answer holds neither a result nor an error");
	if (status < COMMAND_FAILED || status > COMMAND_NOT_FOUND)
		return COMMAND_FAILED;
	return (enum command_exit)status;
}

/* Overwrites jansson's own copies of what travels secretly. Other arguments stay as they
 * are: the result may share them. */
static void wipe_secrets(json_t *args)
{
	static const char *const secrets[] = {"key", "keystore", "password"};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		json_t *value = json_object_get(args, secrets[i]);

		if (json_is_string(value))
			bytes_wipe((char *)(uintptr_t)json_string_value(value),
			    json_string_length(value));
	}
}

enum command_exit client_run(json_t **out, const struct cli *cli, const char *command,
    json_t *args)
{
	json_t *request, *reply = NULL;
	enum command_exit status;
	char *socket_path, *text;

	must(args != NULL);
	request = json_pack("{s:s, s:O}", "command", command, "args", args);
	must(request != NULL);
	text = json_dumps(request, JSON_COMPACT);
	must(text != NULL);
	socket_path = house_socket_path(cli->dir);
	status = carry_out(&reply, cli, socket_path, request, text);
	if (status == COMMAND_DONE)
		status = take_reply(out, reply);
	json_decref(reply);
	free(socket_path);
	bytes_wipe(text, strlen(text));
	free(text);
	json_decref(request);
	wipe_secrets(args);
	json_decref(args);
	return status;
}

int client_show(const struct cli *cli, const char *command, json_t *args, output_show_fn *show)
{
	json_t *result = NULL;
	enum command_exit status = client_run(&result, cli, command, args);

	if (status != COMMAND_DONE)
		return status;
	if (!output_result(cli, result, show))
		status = COMMAND_FAILED;
	json_decref(result);
	return status;
}
