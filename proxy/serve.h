/* proxy/serve.h - the daemon: workers, listeners, signals, graceful stop. */
#ifndef PROXY_SERVE_H
#define PROXY_SERVE_H

#include "proxy/house.h"

struct serve_options {
	struct house_options house;
	const char *listen; /* overrides the configuration; NULL: as configured */
	const char *admin;
	const char
	    *ports_file; /* written once listening: {"listen":"127.0.0.1:…","admin":"…"}; NULL */
	long workers;    /* 0: as configured */
};

/** serve_run - returns the exit status (command.h) once stopped by SIGTERM or SIGINT.
 * Owner's commands take effect at once; SIGHUP reads configuration and default policy again
 * (reload.h).
 * Errors before listening are one line on stderr. Tells systemd when ready (sd_notify
 * protocol, spoken directly: one datagram). */
int serve_run(const struct serve_options *options);

#endif
