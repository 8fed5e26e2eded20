/* Digests made beside the loop: right for every size and order, bounded, and silent for whoever
 * has gone. */
#include "proxy/hasher.h"

#include <event2/event.h>

#include "proxy/mailbox.h"
#include "tests/unit/proxy_peer.h"

struct rig {
	struct event_base *base;
	struct mailbox *mailbox;
	struct hasher *hasher;
};

static void rig_open(struct rig *rig)
{
	rig->base = event_base_new();
	rig->mailbox = mailbox_new(rig->base);
	rig->hasher = hasher_new(rig->mailbox);
}

static void rig_close(struct rig *rig)
{
	hasher_stop(rig->hasher);
	mailbox_free(&rig->mailbox);
	hasher_free(&rig->hasher);
	assert_null(rig->hasher);
	event_base_free(rig->base);
}

/* One body: what of it was added, and what was told of it. */
struct body {
	struct hashing *hashing;
	size_t size, added;
	int rooms, dones;
	struct body *other; /* goes when this one is done */
};

static void on_room(void *arg)
{
	struct body *body = arg;

	body->rooms++;
}

static void on_done(void *arg)
{
	struct body *body = arg;

	body->dones++;
	if (body->other)
		hashing_free(&body->other->hashing);
}

static const struct hashing_events events = {on_room, on_done};

#define BYTES_SIZE (4u * 1024u * 1024u)
static unsigned char *bytes;

static int make_bytes(void **state)
{
	uint32_t number = 1;

	(void)state;
	bytes = must_alloc(BYTES_SIZE);
	for (size_t i = 0; i < BYTES_SIZE; i++) {
		number = number * 1103515245u + 12345u;
		bytes[i] = (unsigned char)(number >> 16);
	}
	return 0;
}

static int free_bytes(void **state)
{
	(void)state;
	free(bytes);
	return 0;
}

static void body_begin(struct body *body, struct rig *rig, size_t size)
{
	*body = (struct body){.size = size};
	body->hashing = hashing_new(rig->hasher, &events, body);
}

/* The next piece, once there is room. */
static void body_add(struct body *body, struct rig *rig, size_t size)
{
	if (size > body->size - body->added)
		size = body->size - body->added;
	if (!hashing_room(body->hashing)) {
		int rooms = body->rooms;

		peer_until(rig->base, body->rooms > rooms);
	}
	hashing_add(body->hashing, bytes + body->added, size);
	body->added += size;
}

static void body_end(struct body *body, struct rig *rig)
{
	struct digest expected = sha256(bytes, body->size), found;

	assert_int_equal(body->added, body->size);
	if (!hashing_end(body->hashing)) {
		assert_int_equal(body->dones, 0);
		peer_until(rig->base, body->dones > 0);
		assert_int_equal(body->dones, 1);
	} else {
		loop_turn(rig->base);
		assert_int_equal(body->dones, 0);
	}
	found = hashing_digest(body->hashing);
	assert_memory_equal(found.bytes, expected.bytes, DIGEST_SIZE);
	hashing_free(&body->hashing);
	assert_null(body->hashing);
}

static const size_t sizes[] = {0, 1, 64, HASHER_INLINE_MAX - 1, HASHER_INLINE_MAX,
    HASHER_INLINE_MAX + 1, HASHER_INLINE_MAX + HASHER_BLOCK_SIZE - 1,
    HASHER_INLINE_MAX + HASHER_BLOCK_SIZE, HASHER_INLINE_MAX + HASHER_BLOCK_SIZE + 1, 1000003,
    BYTES_SIZE};
static const size_t pieces[] = {1, 100, 4095, 4096, 16384, HASHER_BLOCK_SIZE - 1, HASHER_BLOCK_SIZE,
    HASHER_BLOCK_SIZE + 1, 300000, 3000000};

static void every_size_in_every_piece(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		for (size_t j = 0; j < COUNT(pieces); j++) {
			struct body body;

			/* A byte at a time, four mebibytes would only take long. */
			if (sizes[i] / pieces[j] > 100000)
				continue;
			body_begin(&body, &rig, sizes[i]);
			while (body.added < body.size)
				body_add(&body, &rig, pieces[j]);
			body_end(&body, &rig);
		}
	}
	rig_close(&rig);
}

/* Pieces of one land between those of another, and crumbs behind large pieces of the same. */
static void bodies_mixed(void **state)
{
	struct rig rig;
	struct body bodies[COUNT(sizes)];
	size_t under_way, turn = 0;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < COUNT(sizes); i++)
		body_begin(&bodies[i], &rig, sizes[i]);
	do {
		under_way = 0;
		for (size_t i = 0; i < COUNT(sizes); i++) {
			if (bodies[i].added == bodies[i].size)
				continue;
			under_way++;
			body_add(&bodies[i], &rig, 1 + pieces[turn++ % COUNT(pieces)] % 70000);
		}
	} while (under_way > 0);
	for (size_t i = 0; i < COUNT(sizes); i++)
		body_end(&bodies[i], &rig);
	rig_close(&rig);
}

/* Faster than anything can be hashed. False: there was always room. */
static bool fill(struct body *body)
{
	for (unsigned i = 0; i < 100000; i++) {
		if (!hashing_room(body->hashing))
			return true;
		hashing_add(body->hashing, bytes, HASHER_BLOCK_SIZE);
	}
	return false;
}

static void without_room_all_wait(void **state)
{
	struct rig rig;
	struct body first, second, small, gone;

	(void)state;
	rig_open(&rig);
	body_begin(&first, &rig, 0);
	body_begin(&second, &rig, 0);
	body_begin(&small, &rig, 1000);
	body_begin(&gone, &rig, 0);
	hashing_add(second.hashing, bytes, HASHER_INLINE_MAX);
	hashing_add(gone.hashing, bytes, HASHER_INLINE_MAX);
	assert_true(fill(&first));
	/* What is small needs none. */
	assert_true(hashing_room(small.hashing));
	body_add(&small, &rig, 1000);
	body_end(&small, &rig);
	if (!hashing_room(second.hashing))
		peer_until(rig.base, second.rooms == 1);
	peer_until(rig.base, first.rooms == 1);
	assert_true(fill(&first));
	(void)!hashing_room(gone.hashing);
	hashing_free(&gone.hashing);
	peer_until(rig.base, first.rooms == 2);
	assert_int_equal(gone.rooms, 0);
	hashing_free(&first.hashing);
	hashing_free(&second.hashing);
	rig_close(&rig);
}

static void who_has_gone_is_told_nothing(void **state)
{
	struct rig rig;
	struct body gone[4], last;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < COUNT(gone); i++) {
		body_begin(&gone[i], &rig, BYTES_SIZE);
		while (gone[i].added < (i < 2 ? HASHER_INLINE_MAX + 5000 : BYTES_SIZE))
			body_add(&gone[i], &rig, 20000);
	}
	/* In the middle; with a block that is not full; at its end; told already, but not heard. */
	hashing_free(&gone[0].hashing);
	assert_true(hashing_end(gone[2].hashing) || gone[2].dones == 0);
	hashing_free(&gone[2].hashing);
	(void)!hashing_end(gone[3].hashing);
	body_begin(&last, &rig, BYTES_SIZE);
	while (last.added < last.size)
		body_add(&last, &rig, HASHER_BLOCK_SIZE);
	hashing_free(&gone[3].hashing);
	hashing_free(&gone[1].hashing);
	body_end(&last, &rig);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(gone[i].dones, 0);
	rig_close(&rig);
}

/* Two are done at once, and who is told first takes the other with it. */
static void one_takes_another_with_it(void **state)
{
	struct rig rig;
	struct body bodies[2];
	bool known = false;

	(void)state;
	rig_open(&rig);
	for (size_t i = 0; i < COUNT(bodies); i++) {
		body_begin(&bodies[i], &rig, BYTES_SIZE);
		bodies[i].other = &bodies[1 - i];
		while (bodies[i].added < bodies[i].size)
			body_add(&bodies[i], &rig, 100000);
	}
	for (size_t i = 0; i < COUNT(bodies); i++)
		known = hashing_end(bodies[i].hashing) || known;
	if (!known) {
		peer_until(rig.base, bodies[0].dones + bodies[1].dones > 0);
		loop_for(rig.base, 5);
		assert_int_equal(bodies[0].dones + bodies[1].dones, 1);
	}
	for (size_t i = 0; i < COUNT(bodies); i++)
		hashing_free(&bodies[i].hashing);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_size_in_every_piece),
	    cmocka_unit_test(bodies_mixed),
	    cmocka_unit_test(without_room_all_wait),
	    cmocka_unit_test(who_has_gone_is_told_nothing),
	    cmocka_unit_test(one_takes_another_with_it),
	};

	return cmocka_run_group_tests(tests, make_bytes, free_bytes);
}
