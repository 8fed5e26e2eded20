#include "proxy/reload.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "proxy/reserve.h"
#include "proxy/rooms.h"
#include "proxy/settings.h"
#include "proxy/tls.h"

struct changes {
	json_t *now, *at_start; /* names */
	bool policy;
};

static void note_change(
    const char *name, const char *before, const char *after, bool at_start, void *arg)
{
	struct changes *changes = arg;

	json_array_append_new(at_start ? changes->at_start : changes->now, json_string(name));
	if (at_start)
		log_event(LOG_WARN, "config_needs_restart", "key", name, "in_force", before, "file",
		    after, NULL);
	else
		log_event(LOG_INFO, "config_changed", "key", name, "before", before, "after", after,
		    NULL);
}

static void count_change(
    const char *name, const char *before, const char *after, bool at_start, void *arg)
{
	(void)name;
	(void)before;
	(void)after;
	(void)at_start;
	++*(size_t *)arg;
}

static bool refuse(const struct settings_error *error)
{
	char line[16];

	snprintf(line, sizeof line, "%d", error->at.line);
	log_event(LOG_ERROR, "reload_refused", "file", error->file, "line",
	    error->at.line ? line : NULL, "key", *error->at.path ? error->at.path : NULL, "reason",
	    error->at.reason, NULL);
	return false;
}

/* One that says the same, among those that were in force; else NULL and *count of them. */
static struct config *config_like(
    size_t *count, const struct house *house, const struct config *config)
{
	*count = 0;
	for (struct config *old = house->configs; old; old = old->next) {
		size_t differences = 0;

		config_changes(old, config, count_change, &differences);
		if (differences == 0)
			return old;
		++*count;
	}
	return NULL;
}

static bool retry_agent(struct agent *agent, void *arg)
{
	reserve_retry(((struct house *)arg)->purses, agent);
	return true;
}

/* Written before it is in force, so that what is decided by it comes after it in the ledger;
 * the ledger keeps trying while the disk fails. */
static void record(struct house *house, const struct changes *changes, const char *policy_text)
{
	json_t *detail = json_pack("{s:O, s:O, s:b}", "config", changes->now, "at_next_start",
	    changes->at_start, "default_policy", changes->policy);
	char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
	int64_t now_us = clock_now_us();
	struct audit_row row = {
	    .id = store_next_id(house->store, now_us),
	    .kind = AUDIT_OWNER,
	    .method = "SIGHUP",
	    .path = "reload",
	    .allowed = true,
	    .detail = text,
	    .finished_us = now_us,
	};
	struct batch *batch = batch_new(now_us);

	must(text != NULL);
	if (changes->policy)
		batch_setting(batch, store_next_id(house->store, now_us),
		    HOUSE_SETTING_DEFAULT_POLICY, policy_text);
	batch_audit(batch, &row);
	store_append(house->store, &batch, NULL, NULL);
	free(text);
	json_decref(detail);
}

static void take_config(struct house *house, struct settings *settings, struct config *like)
{
	if (!like) {
		like = settings->config;
		settings->config = NULL;
		like->next = house->configs;
		house->configs = like;
	}
	atomic_store_explicit(&house->config, like, memory_order_release);
	store_set_answers_max(house->store, like->answers_size_max);
}

/* One that has expired would only take the place of one that may not have. */
static bool read_certificate(SSL_CTX **out, const struct house *house, const struct config *config)
{
	char reason[TLS_REASON_SIZE];
	enum tls_result result = tls_read(out, reason, house->dir, config);

	if (result == TLS_OK && tls_valid_until_s(*out) <= clock_now_us() / CLOCK_US_PER_S) {
		SSL_CTX_free(*out);
		*out = NULL;
		snprintf(
		    reason, sizeof reason, "the certificate, or one of its chain, has expired");
		result = TLS_BAD;
	}
	if (result == TLS_BAD)
		log_event(LOG_ERROR, "reload_refused", "key", "tls_certificate", "reason", reason,
		    NULL);
	return result != TLS_BAD;
}

/* Takes context. */
static void apply(struct house *house, struct settings *settings, struct config *like,
    const struct changes *changes, SSL_CTX *context)
{
	char count[32], until[CLOCK_TEXT_SIZE];

	if (json_array_size(changes->now) + json_array_size(changes->at_start) > 0 ||
	    changes->policy)
		record(house, changes, settings->policy_text);
	take_config(house, settings, like);
	if (context)
		clock_format(until, tls_valid_until_s(context) * CLOCK_US_PER_S);
	tls_set(house->tls, context);
	if (changes->policy) {
		registry_set_default_policy(
		    house->registry, settings->policy, settings->policy_text);
		settings->policy = NULL;
		registry_each_agent(house->registry, retry_agent, house);
	}
	snprintf(count, sizeof count, "%zu", json_array_size(changes->now));
	log_event(LOG_INFO, "reloaded", "keys_changed", count, "default_policy",
	    changes->policy ? "changed" : "as before", "certificate_until",
	    context ? until : NULL, NULL);
}

bool house_reload(struct house *house)
{
	const struct config *before = house_config(house);
	struct changes changes = {json_array(), json_array(), false};
	struct config *like;
	struct settings_error error;
	struct settings settings;
	char *policy_text;
	SSL_CTX *context = NULL;
	size_t kept;
	bool ok;

	if (settings_read(&settings, &error, house->dir) != SETTINGS_OK) {
		ok = refuse(&error);
		goto out;
	}
	ok = read_certificate(&context, house, settings.config);
	if (!ok) {
		settings_fini(&settings);
		goto out;
	}
	config_changes(before, settings.config, note_change, &changes);
	config_keep_started(settings.config, before);
	like = config_like(&kept, house, settings.config);
	policy_text = registry_default_policy_text(house->registry);
	changes.policy = strcmp(policy_text, settings.policy_text) != 0;
	free(policy_text);
	ok = like != NULL || kept < RELOAD_CONFIGS_MAX;
	if (ok)
		apply(house, &settings, like, &changes, context);
	else {
		SSL_CTX_free(context);
		log_event(LOG_ERROR, "reload_refused", "reason",
		    "too many different configurations since the start: restart the daemon", NULL);
	}
	settings_fini(&settings);
out:
	json_decref(changes.now);
	json_decref(changes.at_start);
	return ok;
}
