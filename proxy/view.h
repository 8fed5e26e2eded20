/* proxy/view.h - state as JSON, the same for agents (/v1/me) and owners (commands). */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include <jansson.h>

#include "proxy/reserve.h"
#include "proxy/rooms.h"

json_t *view_amount(int64_t micros); /* "0.05" */
json_t *view_id(int64_t id);         /* "1763645700000000" */
json_t *view_time(int64_t us);       /* RFC 3339, null for 0 */

/** [{network, asset, symbol, available, reserved, open, spent}]: provisional holds of calls
 * in flight count as reserved, not as available. Assets never used are left out. */
json_t *view_wallet(struct house *house, struct agent *agent);

/** {scope, window, measure, max, used, remaining, resets_at}. */
json_t *view_limit(const struct limit_reading *reading);

/** Every limit of the policy as one session sees it; limits counted for each tool or payee
 * separately are shown as unused. */
json_t *view_limits(struct house *house, const struct agent *agent, const struct policy *policy,
    const char *session, int64_t now_us);

/** Names of the tools the policy allows, sorted. */
json_t *view_tools(struct house *house, const struct policy *policy);

/** What the seller signed about a payment, checked now against what is stored about it:
 * {state, signer, reason}, the last two null when there is none (wallet/offer.h). Of several
 * receipts the best counts. To be called from the callback that has the row. */
json_t *view_offer(const struct payment_row *row);
json_t *view_receipt(struct house *house, const struct payment_row *row);

#endif
