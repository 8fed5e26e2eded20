/* proxy/doubt.h - payments whose row may or may not have reached the disk.
 *
 * The commit that held the row failed, so the signature did not leave; but a disk that says no
 * may have kept what it was given. Until that is known the money stays set aside. It is known
 * once a later commit has succeeded (store_health is OK again): SQLite then has either the row
 * or its log overwritten. */
#ifndef PROXY_DOUBT_H
#define PROXY_DOUBT_H

#include <stdint.h>

struct house;

/** doubt_resolve - settle what can be settled now: a row that is there makes an open payment,
 * one that is not gives the money back. Cheap while there is nothing to do; reads the disk
 * otherwise. For the main loop, about once a second. */
void doubt_resolve(struct house *house, int64_t now_us);

#endif
