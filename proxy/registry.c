#include "proxy/registry.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "common/log.h"
#include "proxy/reach.h"
#include "proxy/relay.h"

#define TOOL_NAME_MAX 64u
#define TOOL_URL_MAX  2048u

struct session {
	int64_t expires_s;
	bool revoked;
	UT_hash_handle hh;
	char name[];
};

/* A tool's name, once for all pins; stays while the registry does. */
struct pin_tool {
	char *name;
	UT_hash_handle hh;
};

struct pin {
	const char *tool;
	char payee[ADDRESS_TEXT_SIZE];
};

struct rpc {
	char *network;
	char *urls;
	UT_hash_handle hh;
};

struct registry {
	pthread_rwlock_t lock;
	struct agent *agents_by_name;
	struct agent **agents; /* by id, which is in order of creation; none ever goes */
	size_t agent_count, agent_size;
	struct tool *tools;
	struct session *sessions;
	struct session *look_at; /* where trimming goes on; NULL: at the first */
	int64_t over_s;          /* tokens that expired by then are no longer known */
	/* Over pin_tools and all agents' pins: a start reads them beside the agents themselves, and
	 * two threads that share a lock for each row take longer than one. */
	pthread_rwlock_t pin_lock;
	struct pin_tool *pin_tools;
	struct rpc *rpcs;
	struct policy_ref *default_policy;
	char *default_policy_text;
};

struct registry *registry_new(void)
{
	struct registry *registry = must_calloc(1, sizeof *registry);

	must(pthread_rwlock_init(&registry->lock, NULL) == 0);
	must(pthread_rwlock_init(&registry->pin_lock, NULL) == 0);
	return registry;
}

static void agent_free(struct agent *agent)
{
	policy_unref(&agent->policy);
	free(agent->pins);
	free(agent->name);
	free(agent->owner);
	free(agent);
}

static void session_drop(struct registry *registry, struct session *session)
{
	if (registry->look_at == session)
		registry->look_at = session->hh.next;
	HASH_DEL(registry->sessions, session);
	free(session);
}

void registry_free(struct registry **registry_p)
{
	struct registry *registry = *registry_p;
	struct agent *agent, *agent_next;
	struct tool *tool, *tool_next;
	struct session *session, *session_next;
	struct pin_tool *pin_tool, *pin_tool_next;
	struct rpc *rpc, *rpc_next;

	*registry_p = NULL;
	if (!registry)
		return;
	HASH_ITER (by_name, registry->agents_by_name, agent, agent_next) {
		HASH_DELETE(by_name, registry->agents_by_name, agent);
		agent_free(agent);
	}
	HASH_ITER (hh, registry->tools, tool, tool_next) {
		HASH_DEL(registry->tools, tool);
		tool_unref(&tool);
	}
	HASH_ITER (hh, registry->sessions, session, session_next)
		session_drop(registry, session);
	HASH_ITER (hh, registry->pin_tools, pin_tool, pin_tool_next) {
		HASH_DEL(registry->pin_tools, pin_tool);
		free(pin_tool->name);
		free(pin_tool);
	}
	HASH_ITER (hh, registry->rpcs, rpc, rpc_next) {
		HASH_DEL(registry->rpcs, rpc);
		free(rpc->network);
		free(rpc->urls);
		free(rpc);
	}
	policy_unref(&registry->default_policy);
	free(registry->default_policy_text);
	free(registry->agents);
	pthread_rwlock_destroy(&registry->lock);
	pthread_rwlock_destroy(&registry->pin_lock);
	free(registry);
}

static void read_lock(struct registry *registry)
{
	must(pthread_rwlock_rdlock(&registry->lock) == 0);
}

static void write_lock(struct registry *registry)
{
	must(pthread_rwlock_wrlock(&registry->lock) == 0);
}

static void unlock(struct registry *registry)
{
	must(pthread_rwlock_unlock(&registry->lock) == 0);
}

struct agent *registry_agent(struct registry *registry, const char *name)
{
	struct agent *agent;

	read_lock(registry);
	HASH_FIND(by_name, registry->agents_by_name, name, strlen(name), agent);
	unlock(registry);
	return agent;
}

/* Where the agent of that id is, or would be. */
static size_t place_of(const struct registry *registry, int64_t id)
{
	size_t first = 0, end = registry->agent_count;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (registry->agents[middle]->id < id)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

struct agent *registry_agent_by_id(struct registry *registry, int64_t id)
{
	struct agent *agent = NULL;
	size_t at;

	read_lock(registry);
	at = place_of(registry, id);
	if (at < registry->agent_count && registry->agents[at]->id == id)
		agent = registry->agents[at];
	unlock(registry);
	return agent;
}

/* Ids are times of creation: a new agent is the last, unless two are added at once. */
static void put_in_order(struct registry *registry, struct agent *agent)
{
	size_t at = registry->agent_count;

	if (registry->agent_count == registry->agent_size) {
		registry->agent_size = registry->agent_size ? 2 * registry->agent_size : 64;
		registry->agents =
		    must_realloc(registry->agents, registry->agent_size * sizeof *registry->agents);
	}
	if (at > 0 && registry->agents[at - 1]->id > agent->id)
		at = place_of(registry, agent->id);
	memmove(registry->agents + at + 1, registry->agents + at,
	    (registry->agent_count - at) * sizeof *registry->agents);
	registry->agents[at] = agent;
	registry->agent_count++;
}

struct agent *registry_add_agent(
    struct registry *registry, const struct agent_row *row, struct purse *purse)
{
	struct agent *agent = must_calloc(1, sizeof *agent);

	agent->id = row->id;
	agent->created_us = row->id;
	agent->name = must_strdup(row->name);
	agent->owner = must_strdup(row->owner);
	agent->purse = purse;
	atomic_store(&agent->suspended, row->suspended);
	if (!address_read(&agent->address, row->address))
		memset(&agent->address, 0, sizeof agent->address);
	write_lock(registry);
	put_in_order(registry, agent);
	HASH_ADD_KEYPTR(by_name, registry->agents_by_name, agent->name, strlen(agent->name), agent);
	unlock(registry);
	return agent;
}

void registry_set_address(
    struct registry *registry, struct agent *agent, const struct address *address)
{
	write_lock(registry);
	agent->address = *address;
	unlock(registry);
}

struct address registry_address(struct registry *registry, const struct agent *agent)
{
	struct address address;

	read_lock(registry);
	address = agent->address;
	unlock(registry);
	return address;
}

void policy_unref(struct policy_ref **ref_p)
{
	struct policy_ref *ref = *ref_p;

	*ref_p = NULL;
	if (ref && atomic_fetch_sub(&ref->refs, 1) == 1) {
		policy_free(&ref->policy);
		free(ref->text);
		free(ref);
	}
}

struct policy_ref *policy_share(struct policy *policy)
{
	struct policy_ref *ref = must_calloc(1, sizeof *ref);

	atomic_init(&ref->refs, 1);
	ref->policy = policy;
	return ref;
}

struct policy_ref *policy_later(const char *text)
{
	struct policy_ref *ref = policy_share(NULL);

	ref->text = must_strdup(text);
	return ref;
}

void registry_share_policy(
    struct registry *registry, struct agent *agent, struct policy_ref *policy)
{
	struct policy_ref *old;

	atomic_fetch_add(&policy->refs, 1);
	write_lock(registry);
	old = agent->policy;
	agent->policy = policy;
	unlock(registry);
	policy_unref(&old);
}

void registry_set_policy(struct registry *registry, struct agent *agent, struct policy *policy)
{
	struct policy_ref *ref = policy_share(policy);

	registry_share_policy(registry, agent, ref);
	policy_unref(&ref);
}

void registry_set_default_policy(struct registry *registry, struct policy *policy, const char *text)
{
	struct policy_ref *ref = policy_share(policy), *old;
	char *copy = must_strdup(text), *old_text;

	write_lock(registry);
	old = registry->default_policy;
	old_text = registry->default_policy_text;
	registry->default_policy = ref;
	registry->default_policy_text = copy;
	unlock(registry);
	policy_unref(&old);
	free(old_text);
}

char *registry_default_policy_text(struct registry *registry)
{
	char *copy;

	read_lock(registry);
	copy = registry->default_policy_text ? must_strdup(registry->default_policy_text) : NULL;
	unlock(registry);
	return copy;
}

/* Fail closed: whoever has a policy that nobody can read may call nothing. */
static struct policy *policy_of_text(
    bool *unreadable, const char *text, const struct agent *agent)
{
	static const char nothing[] = "{\"tools\": {\"allowlist\": []}}";
	struct json_error error;
	struct policy *policy = policy_parse(&error, text, strlen(text));

	*unreadable = policy == NULL;
	if (policy)
		return policy;
	log_event(LOG_ERROR, "policy_unreadable", "agent", agent->name, "path", error.path,
	    "reason", error.reason, NULL);
	policy = policy_parse(&error, nothing, sizeof nothing - 1);
	must(policy != NULL);
	return policy;
}

/* In force for the agent, with a reference; *text is what is to be parsed, or NULL. */
static struct policy_ref *policy_ref_of(
    const char **text, struct registry *registry, const struct agent *agent)
{
	struct policy_ref *ref;

	*text = NULL;
	read_lock(registry);
	ref = agent->policy ? agent->policy : registry->default_policy;
	if (ref) {
		atomic_fetch_add(&ref->refs, 1);
		if (!ref->policy)
			*text = ref->text;
	}
	unlock(registry);
	return ref;
}

struct policy_ref *registry_policy(struct registry *registry, struct agent *agent)
{
	const char *text;
	struct policy_ref *ref = policy_ref_of(&text, registry, agent);
	struct policy *policy;
	bool unreadable;

	if (!text)
		return ref;
	/* The text stays while the reference does. Two may parse it at once; one is kept. */
	policy = policy_of_text(&unreadable, text, agent);
	write_lock(registry);
	if (!ref->policy) {
		ref->policy = policy;
		ref->unreadable = unreadable;
		policy = NULL;
	}
	unlock(registry);
	policy_free(&policy);
	return ref;
}

bool registry_policy_reads(struct registry *registry, struct agent *agent)
{
	const char *text;
	struct policy_ref *ref = policy_ref_of(&text, registry, agent);
	struct json_error error;
	struct policy *policy;
	bool ok;

	/* Where there is a text a worker may be about to write the rest. */
	if (text) {
		policy = policy_parse(&error, text, strlen(text));
		ok = policy != NULL;
		policy_free(&policy);
	} else {
		ok = ref && !ref->unreadable;
	}
	policy_unref(&ref);
	return ok;
}

size_t registry_agent_count(struct registry *registry)
{
	size_t count;

	read_lock(registry);
	count = registry->agent_count;
	unlock(registry);
	return count;
}

size_t registry_agents(struct agent **out, struct registry *registry, size_t first, size_t count)
{
	read_lock(registry);
	if (first >= registry->agent_count)
		count = 0;
	else if (count > registry->agent_count - first)
		count = registry->agent_count - first;
	if (count != 0)
		memcpy(out, registry->agents + first, count * sizeof(struct agent *));
	unlock(registry);
	return count;
}

void registry_each_agent(
    struct registry *registry, bool (*each)(struct agent *agent, void *arg), void *arg)
{
	size_t count = registry_agent_count(registry);
	struct agent **agents = must_calloc(count + 1, sizeof(struct agent *));

	count = registry_agents(agents, registry, 0, count);
	for (size_t i = 0; i < count && each(agents[i], arg); i++)
		;
	free(agents);
}

/* --- tools ------------------------------------------------------------- */

bool tool_name_valid(const char *name)
{
	size_t size = strlen(name);
	const char *segment = name;

	if (size == 0 || size > TOOL_NAME_MAX)
		return false;
	for (const char *at = name;; at++) {
		if (*at == '/' || *at == '\0') {
			size_t length = (size_t)(at - segment);

			if (length == 0 || (length == 1 && segment[0] == '.') ||
			    (length == 2 && segment[0] == '.' && segment[1] == '.'))
				return false;
			if (*at == '\0')
				return true;
			segment = at + 1;
		} else if (!isalnum((unsigned char)*at) && !strchr("._-", *at)) {
			return false;
		}
	}
}

static bool part_present(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool present = curl_url_get(url, part, &text, 0) == CURLUE_OK && *text;

	curl_free(text);
	return present;
}

static bool url_fail(char reason[256], const char *words)
{
	snprintf(reason, 256, "%s", words);
	return false;
}

bool tool_url_valid(char reason[256], const char *text)
{
	const char *host;
	size_t host_size;
	CURLU *url;
	bool ok = false;

	if (strlen(text) > TOOL_URL_MAX)
		return url_fail(reason, "the URL is longer than 2048 bytes");
	if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
		return url_fail(reason, "the URL must begin with https:// or http://");
	for (const char *at = text; *at; at++) {
		if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f || *at == '\\')
			return url_fail(
			    reason, "the URL holds a space, a backslash or a non-ASCII byte");
	}
	/* curl skips a slash too many, and decodes hosts: what we compare would not be what it
	 * connects to. */
	host = strstr(text, "://") + strlen("://");
	host_size = strcspn(host, "/?#");
	url = curl_url();
	must(url != NULL);
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS) != CURLUE_OK ||
	    !part_present(url, CURLUPART_HOST) || host_size == 0 ||
	    memchr(host, '%', host_size) != NULL)
		url_fail(reason, "the URL does not parse");
	/* An empty user is none to curl, but it would stand in what we compare. */
	else if (memchr(host, '@', host_size) != NULL || part_present(url, CURLUPART_USER) ||
		 part_present(url, CURLUPART_PASSWORD))
		url_fail(reason, "the URL may not hold a user or a password");
	else if (strchr(text, '?') || strchr(text, '#'))
		url_fail(
		    reason, "the URL may not hold a query or a fragment: calls bring their own");
	else if (!relay_path_valid(host))
		url_fail(reason, "the URL's path holds a dot segment or a broken escape");
	else
		ok = true;
	curl_url_cleanup(url);
	return ok;
}

static char *host_of(const char *text)
{
	const char *start = strstr(text, "://") + 3;
	size_t size = strcspn(start, "/");
	char *host = must_strndup(start, size);

	for (char *at = host; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return host;
}

char *tool_private_name(const char *tool)
{
	return must_format("private/%s", tool);
}

static struct tool *tool_new(
    const struct tool_row *row, bool private, struct delivery_check **check)
{
	struct tool *tool = must_calloc(1, sizeof *tool);
	size_t size = strlen(row->url);

	while (size > 0 && row->url[size - 1] == '/')
		size--;
	atomic_init(&tool->refs, 1);
	tool->name = must_strdup(row->name);
	tool->url = must_strndup(row->url, size);
	tool->host = host_of(row->url);
	tool->secure = strncasecmp(row->url, "https://", 8) == 0;
	tool->private = private;
	tool->reach = reach_of_url(tool->url, private);
	tool->billing = row->billing;
	tool->has_price = row->has_price;
	tool->price = row->price;
	tool->delivery = *check;
	*check = NULL;
	return tool;
}

void registry_put_tool(struct registry *registry, const struct tool_row *row, bool private,
    struct delivery_check **check)
{
	struct tool *old, *tool = row->removed ? NULL : tool_new(row, private, check);

	write_lock(registry);
	HASH_FIND_STR(registry->tools, row->name, old);
	if (old)
		HASH_DEL(registry->tools, old);
	if (tool)
		HASH_ADD_KEYPTR(hh, registry->tools, tool->name, strlen(tool->name), tool);
	unlock(registry);
	tool_unref(&old);
	delivery_check_free(check);
}

static struct tool *tool_ref(struct tool *tool)
{
	if (tool)
		atomic_fetch_add(&tool->refs, 1);
	return tool;
}

struct tool *registry_tool(struct registry *registry, const char *name)
{
	struct tool *tool;

	read_lock(registry);
	HASH_FIND_STR(registry->tools, name, tool);
	tool_ref(tool);
	unlock(registry);
	return tool;
}

struct tool *registry_tool_match(const char **rest, struct registry *registry, const char *path)
{
	size_t size = strcspn(path, "?");
	struct tool *tool = NULL;

	if (size > TOOL_NAME_MAX + 1)
		size = TOOL_NAME_MAX + 1;
	read_lock(registry);
	for (; size > 0 && !tool; size--) {
		if (path[size] == '/' || path[size] == '?' || path[size] == '\0') {
			HASH_FIND(hh, registry->tools, path, size, tool);
			if (tool)
				*rest = path + size;
		}
	}
	tool_ref(tool);
	unlock(registry);
	return tool;
}

void tool_unref(struct tool **tool_p)
{
	struct tool *tool = *tool_p;

	*tool_p = NULL;
	if (tool && atomic_fetch_sub(&tool->refs, 1) == 1) {
		free(tool->name);
		free(tool->url);
		free(tool->host);
		delivery_check_free(&tool->delivery);
		free(tool);
	}
}

void registry_each_tool(
    struct registry *registry, bool (*each)(const struct tool *tool, void *arg), void *arg)
{
	struct tool **tools, *tool, *next;
	size_t count = 0;
	bool more = true;

	read_lock(registry);
	tools = must_calloc(HASH_COUNT(registry->tools) + 1, sizeof(struct tool *));
	HASH_ITER (hh, registry->tools, tool, next)
		tools[count++] = tool_ref(tool);
	unlock(registry);
	for (size_t i = 0; i < count; i++) {
		more = more && each(tools[i], arg);
		tool_unref(&tools[i]);
	}
	free(tools);
}

/* --- sessions ---------------------------------------------------------- */

static struct session *session_find(const struct registry *registry, const char *name)
{
	struct session *session;

	HASH_FIND_STR(registry->sessions, name, session);
	/* Forgotten, though its memory has not been given back yet. */
	return session && session->expires_s <= registry->over_s ? NULL : session;
}

/* With the lock held for writing. NULL: over. */
static struct session *session_add(struct registry *registry, const char *name, int64_t expires_s)
{
	size_t size = strlen(name);
	struct session *session;

	HASH_FIND_STR(registry->sessions, name, session);
	if (session && session->expires_s > registry->over_s)
		return session;
	if (expires_s <= registry->over_s)
		return NULL;
	/* Forgotten, though its memory has not been given back yet. */
	if (session)
		session_drop(registry, session);
	session = must_calloc(1, sizeof *session + size + 1);
	memcpy(session->name, name, size + 1);
	session->expires_s = expires_s;
	HASH_ADD_KEYPTR(hh, registry->sessions, session->name, size, session);
	return session;
}

bool registry_admit(struct registry *registry, const char *name, int64_t expires_s)
{
	const struct session *session;
	bool known, admitted;

	read_lock(registry);
	session = session_find(registry, name);
	known = session != NULL;
	admitted = known && !session->revoked;
	unlock(registry);
	if (known)
		return admitted;
	write_lock(registry);
	session = session_add(registry, name, expires_s);
	admitted = session && !session->revoked;
	unlock(registry);
	return admitted;
}

void registry_revoke(struct registry *registry, const char *name, int64_t expires_s)
{
	struct session *session;

	write_lock(registry);
	session = session_add(registry, name, expires_s);
	if (session)
		session->revoked = true;
	unlock(registry);
}

bool registry_revoked(struct registry *registry, const char *name)
{
	const struct session *session;
	bool revoked;

	read_lock(registry);
	session = session_find(registry, name);
	revoked = session && session->revoked;
	unlock(registry);
	return revoked;
}

bool registry_session_over(struct registry *registry, const char *name)
{
	const struct session *session;
	bool over;

	read_lock(registry);
	session = session_find(registry, name);
	over = !session || session->revoked;
	unlock(registry);
	return over;
}

void registry_trim(struct registry *registry, int64_t over_s, size_t parts)
{
	struct session *session;

	write_lock(registry);
	if (over_s > registry->over_s)
		registry->over_s = over_s;
	if (!registry->look_at)
		registry->look_at = registry->sessions;
	for (size_t left = HASH_COUNT(registry->sessions) / parts + 1;
	     left > 0 && registry->look_at; left--) {
		session = registry->look_at;
		registry->look_at = session->hh.next;
		if (session->expires_s <= registry->over_s)
			session_drop(registry, session);
	}
	unlock(registry);
}

/* --- pinned payees ----------------------------------------------------- */

/* Index of the first pin whose tool is not before this one; pins are in order of tools. */
static size_t pin_place(const struct agent *agent, const char *tool)
{
	size_t low = 0, high = agent->pin_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(agent->pins[middle].tool, tool) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct pin *pin_find(const struct agent *agent, const char *tool)
{
	size_t place = pin_place(agent, tool);

	return place < agent->pin_count && strcmp(agent->pins[place].tool, tool) == 0
		   ? &agent->pins[place]
		   : NULL;
}

static const char *pin_tool_name(struct registry *registry, const char *name)
{
	struct pin_tool *tool;

	HASH_FIND_STR(registry->pin_tools, name, tool);
	if (!tool) {
		tool = must_calloc(1, sizeof *tool);
		tool->name = must_strdup(name);
		HASH_ADD_KEYPTR(hh, registry->pin_tools, tool->name, strlen(tool->name), tool);
	}
	return tool->name;
}

static void pin_add(
    struct registry *registry, struct agent *agent, const char *tool, const char *payee)
{
	size_t place = pin_place(agent, tool);
	struct pin *pin;

	agent->pins = must_realloc(agent->pins, (agent->pin_count + 1) * sizeof *agent->pins);
	pin = &agent->pins[place];
	memmove(pin + 1, pin, (agent->pin_count - place) * sizeof *pin);
	agent->pin_count++;
	pin->tool = pin_tool_name(registry, tool);
	snprintf(pin->payee, sizeof pin->payee, "%s", payee);
}

void registry_pin(
    struct registry *registry, struct agent *agent, const char *tool, const char *payee)
{
	char pinned[ADDRESS_TEXT_SIZE];

	/* Every payment but the first of a pair ends here, beside those of other workers. */
	if (registry_pinned(pinned, registry, agent, tool))
		return;
	must(pthread_rwlock_wrlock(&registry->pin_lock) == 0);
	if (!pin_find(agent, tool))
		pin_add(registry, agent, tool, payee);
	must(pthread_rwlock_unlock(&registry->pin_lock) == 0);
}

bool registry_pinned(char out[ADDRESS_TEXT_SIZE], struct registry *registry,
    const struct agent *agent, const char *tool)
{
	const struct pin *pin;

	must(pthread_rwlock_rdlock(&registry->pin_lock) == 0);
	pin = pin_find(agent, tool);
	if (pin)
		memcpy(out, pin->payee, ADDRESS_TEXT_SIZE);
	must(pthread_rwlock_unlock(&registry->pin_lock) == 0);
	return pin != NULL;
}

/* --- networks ---------------------------------------------------------- */

void registry_set_rpc(struct registry *registry, const char *network, const char *urls)
{
	struct rpc *rpc;

	write_lock(registry);
	HASH_FIND_STR(registry->rpcs, network, rpc);
	if (!rpc) {
		rpc = must_calloc(1, sizeof *rpc);
		rpc->network = must_strdup(network);
		HASH_ADD_KEYPTR(hh, registry->rpcs, rpc->network, strlen(rpc->network), rpc);
	}
	free(rpc->urls);
	rpc->urls = must_strdup(urls);
	unlock(registry);
}

char *registry_rpc(struct registry *registry, const char *network)
{
	struct rpc *rpc;
	char *urls;

	read_lock(registry);
	HASH_FIND_STR(registry->rpcs, network, rpc);
	urls = must_strdup(rpc ? rpc->urls : "");
	unlock(registry);
	return urls;
}
