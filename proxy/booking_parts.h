/* proxy/booking_parts.h - inside proxy/booking*.c only. */
#ifndef PROXY_BOOKING_PARTS_H
#define PROXY_BOOKING_PARTS_H

#include "proxy/booking.h"

/* Where a payment's money is. */
enum side { SIDE_IN_FLIGHT, SIDE_OPEN, SIDE_SPENT, SIDE_BACK };

enum side side_of(enum payment_state state);

/** BOOKING_FLAG with these words in flag, or BOOKING_NOTHING when they stand in the ledger
 * unanswered. What follows a colon does not count: it may be told differently each time. */
enum booking_act booking_flag(
    char flag[160], const struct booking *booking, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
