/* proxy/admin.h - the owner's side of a running daemon.
 *
 * DIR/admin.sock (mode 0600) takes POST /command, the same requests as command_run(); the
 * admin address serves /healthz, /readyz and /metrics and nothing that could change
 * anything, because any local user can reach it. Commands that wait for a chain are errands
 * (proxy/errand.h), the others are carried out at once, on the loop. */
#ifndef PROXY_ADMIN_H
#define PROXY_ADMIN_H

#include <stdbool.h>

#include "proxy/house.h"
#include "proxy/worker.h"

struct event_base;
struct admin;

/** Both fds are taken. */
struct admin *admin_new(struct event_base *base, struct house *house, struct workers_state *shared,
    int tcp_fd, int unix_fd);
/** The configuration has changed: follow it. */
void admin_refresh(struct admin *admin);
/** Is a command waiting for a chain? */
bool admin_busy(const struct admin *admin);
/** Waits for such a command. */
void admin_free(struct admin **admin);

#endif
