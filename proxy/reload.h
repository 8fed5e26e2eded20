/* proxy/reload.h - SIGHUP: DIR/tallyward.json and DIR/policy.json are read again.
 *
 * All or nothing: one file that is bad changes nothing, and the log says file, line, path and
 * reason. What has changed is logged key by key; keys that take effect at a start only keep
 * their values and are named as such. The act is an audit row of the owner's. */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include "proxy/house.h"

/* Calls may still read an older configuration, so none is freed while the daemon runs; one
 * that was in force before is taken again instead of kept twice. This many different ones are
 * a megabyte or two, and nobody edits that often by hand. */
#define RELOAD_CONFIGS_MAX 1024u

/** house_reload - on the main loop; reads two small files, does not wait for the ledger.
 *
 * Returns true   what the files say is in force: house_config() for whoever asks next,
 *                registry_policy() for agents without a policy of their own, whose waiting
 *                calls are decided anew
 *         false  refused, logged; nothing has changed */
bool house_reload(struct house *house) MUST_CHECK;

#endif
