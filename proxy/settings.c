#include "proxy/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"

/* As for config_read(): a thousand assets of the owner's own. */
#define CONFIG_SIZE_MAX (64u * 1024u)

static enum settings_result unreadable(struct settings_error *error, bool absent_means_none)
{
	int why = errno;

	error->at.line = 0;
	error->at.path[0] = '\0';
	snprintf(error->at.reason, sizeof error->at.reason, "%s", strerror(why));
	return absent_means_none && (why == ENOENT || why == ENOTDIR) ? SETTINGS_NOT_FOUND
								      : SETTINGS_UNREADABLE;
}

static enum settings_result read_config(
    struct settings *settings, struct settings_error *error, const char *dir)
{
	char *path = file_path(dir, "tallyward.json");
	enum settings_result result = SETTINGS_OK;
	size_t size;
	char *text = file_read(&size, path, CONFIG_SIZE_MAX);

	snprintf(error->file, sizeof error->file, "%s", path);
	settings->config = must_calloc(1, sizeof *settings->config);
	if (!text)
		result = unreadable(error, true);
	else if (!config_read(settings->config, &error->at, text, size))
		result = SETTINGS_BAD;
	free(text);
	free(path);
	return result;
}

static enum settings_result read_policy(
    struct settings *settings, struct settings_error *error, const char *dir)
{
	char *path = file_path(dir, "policy.json");
	enum settings_result result = SETTINGS_OK;
	size_t size;

	snprintf(error->file, sizeof error->file, "%s", path);
	settings->policy_text = file_read(&size, path, POLICY_SIZE_MAX);
	if (!settings->policy_text)
		result = unreadable(error, false);
	else if (!(settings->policy = policy_parse(&error->at, settings->policy_text, size)))
		result = SETTINGS_BAD;
	free(path);
	return result;
}

enum settings_result settings_read(
    struct settings *out, struct settings_error *error, const char *dir)
{
	struct settings settings = {0};
	enum settings_result result = read_config(&settings, error, dir);

	if (result != SETTINGS_OK) {
		/* Nothing was read into it. */
		free(settings.config);
		return result;
	}
	result = read_policy(&settings, error, dir);
	if (result == SETTINGS_OK)
		*out = settings;
	else
		settings_fini(&settings);
	return result;
}

void settings_fini(struct settings *settings)
{
	if (settings->config)
		config_fini(settings->config);
	free(settings->config);
	free(settings->policy_text);
	policy_free(&settings->policy);
	*settings = (struct settings){0};
}
