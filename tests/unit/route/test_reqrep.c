/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_env.h"

#include <stdio.h>

#define CLIENTS 0
#define WORKERS 1

static struct bb_endpoint rpc;

static void
open_rpc(struct env *e, const struct env_options *options)
{
	env_open(e, options);
	rpc = env_conf(0, BB_PATTERN_REQREP);
	rpc.side[CLIENTS].claims = true;
	env_endpoint(e, &rpc);
}

static bb_handle
client(struct env *e, uint32_t io, uint32_t slot, const char *id)
{
	return env_attach_id(e, io, slot, CLIENTS, 0, id, (uint32_t)strlen(id));
}

static void
requests_rotate_and_replies_find_their_client(void **state)
{
	struct env e;

	(void)state;
	open_rpc(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle alice = client(&e, 0, 0, "alice"), bob = client(&e, 1, 0, "bob");
	const bb_handle w = env_attach(&e, 0, 1, WORKERS, 10);
	env_run(&e);
	const bb_handle x = env_attach(&e, 1, 1, WORKERS, 10);
	env_run(&e);
	assert_string_equal(env_session(&e, alice)->id, "616c696365");
	/* The frame with the client's id was put in front where the request was read. */
	env_send(&e, alice, CLIENTS, "alice||q1");
	env_send(&e, alice, CLIENTS, "alice||q2");
	env_run(&e);
	env_send(&e, bob, CLIENTS, "bob||q3");
	env_run(&e);
	assert_string_equal(env_log(&e, w), "alice||q1 bob||q3");
	assert_string_equal(env_log(&e, x), "alice||q2");
	env_send(&e, w, WORKERS, "bob||r3");
	env_send(&e, w, WORKERS, "alice||r1");
	env_run(&e);
	env_send(&e, x, WORKERS, "alice||r2");
	env_run(&e);
	assert_string_equal(env_log(&e, alice), "|r1 |r2");
	assert_string_equal(env_log(&e, bob), "|r3");
	assert_int_equal(env_count(&e, WORKERS, BB_ROUTER_ROUTED), 3);
	assert_int_equal(env_count(&e, CLIENTS, BB_ROUTER_ROUTED), 3);
	env_close(&e);
}

static void
clients_without_an_id_get_one_of_five_octets(void **state)
{
	struct env e;
	uint8_t frame[100];
	unsigned number[2];

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	const bb_handle c = client(&e, 0, 0, ""), d = client(&e, 0, 1, "");
	const bb_handle w = env_attach(&e, 0, 2, WORKERS, 0);
	env_run(&e);
	assert_int_equal(sscanf(env_session(&e, c)->id, "00%8x", &number[0]), 1);
	assert_int_equal(sscanf(env_session(&e, d)->id, "00%8x", &number[1]), 1);
	assert_int_equal(number[1], number[0] + 1);
	const uint8_t head[7] = { 1, 5, 0, (uint8_t)(number[1] >> 24), (uint8_t)(number[1] >> 16),
		(uint8_t)(number[1] >> 8), (uint8_t)number[1] };
	memcpy(frame, head, sizeof(head));
	env_send_raw(
		&e, w, WORKERS, frame, (uint32_t)sizeof(head) + env_encode(frame + sizeof(head), "hello"));
	env_run(&e);
	assert_string_equal(env_log(&e, d), "hello");
	assert_string_equal(env_log(&e, c), "");
	env_close(&e);
}

static void
an_id_is_held_by_one_client_at_a_time(void **state)
{
	struct env e;

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	const bb_handle first = client(&e, 0, 0, "me"), second = client(&e, 0, 1, "me");
	const bb_handle w = env_attach(&e, 0, 9, WORKERS, 0);
	env_run(&e);
	assert_int_equal(env_session(&e, first)->granted, 1);
	assert_int_equal(env_session(&e, second)->granted, 0);
	assert_int_equal(env_session(&e, second)->cause, BB_REFUSED_ID_TAKEN);
	env_gone(&e, second, CLIENTS); /* a refused one says farewell as well */
	env_gone(&e, first, CLIENTS);
	const bb_handle third = client(&e, 0, 2, "me");
	env_send(&e, w, WORKERS, "me|hello");
	env_run(&e);
	assert_int_equal(env_session(&e, second)->gone_done, 1);
	assert_int_equal(env_session(&e, first)->gone_done, 1);
	assert_string_equal(env_log(&e, third), "hello");
	env_close(&e);
}

static void
with_handover_the_newcomer_gets_the_id(void **state)
{
	struct env e;

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	struct bb_endpoint changed = rpc;
	changed.side[CLIENTS].handover = true;
	const bb_handle old = client(&e, 0, 0, "me");
	env_run(&e);
	env_endpoint(&e, &changed);
	const bb_handle young = client(&e, 0, 1, "me");
	const bb_handle w = env_attach(&e, 0, 9, WORKERS, 0);
	env_send(&e, w, WORKERS, "me|hello");
	env_gone(&e, old, CLIENTS);
	env_send(&e, w, WORKERS, "me|again");
	env_run(&e);
	assert_int_equal(env_session(&e, old)->cause, BB_REFUSED_ID_TAKEN);
	assert_int_equal(env_session(&e, young)->granted, 1);
	assert_string_equal(env_log(&e, old), "");
	assert_string_equal(env_log(&e, young), "hello again");
	env_close(&e);
}

static void
ids_that_begin_with_zero_are_refused(void **state)
{
	struct env e;
	uint8_t longest[256];

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	memset(longest, 'x', sizeof(longest));
	const bb_handle zero = env_attach_id(&e, 0, 0, CLIENTS, 0, "\0abc", 4);
	const bb_handle fits = env_attach_id(&e, 0, 1, CLIENTS, 0, longest, 255);
	const bb_handle over = env_attach_id(&e, 0, 2, CLIENTS, 0, longest, 256);
	env_run(&e);
	assert_int_equal(env_session(&e, zero)->cause, BB_REFUSED_ID_BAD);
	assert_int_equal(env_session(&e, fits)->granted, 1);
	assert_int_equal(env_session(&e, over)->cause, BB_REFUSED_ID_BAD);
	env_close(&e);
}

static void
replies_for_nobody_are_counted_by_cause(void **state)
{
	struct env e;
	uint8_t big[600];

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	const bb_handle c = client(&e, 0, 0, "me");
	const bb_handle w = env_attach(&e, 0, 1, WORKERS, 0);
	env_send(&e, w, WORKERS, "you|hello");
	env_send(&e, w, WORKERS, "|hello");
	env_send(&e, w, WORKERS, "me"); /* an envelope with nothing in it */
	memset(big, 'x', 400);
	big[400] = 0;
	char text[1024];
	snprintf(text, sizeof(text), "%s|hello", (const char *)big);
	env_send(&e, w, WORKERS, text); /* longer than any id */
	env_gone(&e, c, CLIENTS);
	env_send(&e, w, WORKERS, "me|too late");
	env_run(&e);
	assert_int_equal(env_count(&e, WORKERS, BB_ROUTER_IN_UNROUTABLE), 4);
	assert_int_equal(env_count(&e, WORKERS, BB_ROUTER_IN_MALFORMED), 1);
	assert_int_equal(env_count(&e, WORKERS, BB_ROUTER_ROUTED), 0);
	env_close(&e);
}

static void
long_replies_find_their_client_wherever_the_chain_breaks(void **state)
{
	struct env e;
	uint8_t bytes[200];

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	const bb_handle c = client(&e, 0, 0, "alice");
	const bb_handle w = env_attach(&e, 0, 1, WORKERS, 0);
	const uint32_t len = env_encode(bytes, "alice||a reply of some length");
	for (uint32_t part = 1; part < len; part++) {
		env_log_clear(&e, c);
		env_send_chain(&e, w, WORKERS, bytes, len, part);
		env_run(&e);
		assert_string_equal(env_log(&e, c), "|a reply of some length");
	}
	env_send_chain(&e, w, WORKERS, bytes, env_encode(bytes, "bob|nobody"), 4);
	env_send_chain(&e, w, WORKERS, bytes, env_encode(bytes, "alice"), 4);
	env_run(&e);
	assert_int_equal(env_count(&e, WORKERS, BB_ROUTER_IN_UNROUTABLE), 1);
	assert_int_equal(env_count(&e, WORKERS, BB_ROUTER_IN_MALFORMED), 1);
	env_close(&e);
}

static void
requests_wait_for_workers_and_replies_do_not(void **state)
{
	struct env e;

	(void)state;
	open_rpc(&e, &(struct env_options){ 0 });
	const bb_handle c = env_attach_id(&e, 0, 0, CLIENTS, 1, "c", 1); /* room for one reply */
	const bb_handle w = env_attach(&e, 0, 1, WORKERS, 1);
	env_send(&e, c, CLIENTS, "c|1");
	env_send(&e, c, CLIENTS, "c|2");
	env_run(&e);
	assert_string_equal(env_log(&e, w), "c|1");
	assert_int_equal(env_count(&e, CLIENTS, BB_ROUTER_PARKED), 1);
	env_send(&e, w, WORKERS, "c|r1");
	env_send(&e, w, WORKERS, "c|r2");
	env_credit(&e, w, WORKERS, 2, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, w), "c|1 c|2");
	assert_string_equal(env_log(&e, c), "r1 r2"); /* its I/O core drops what does not fit */
	env_close(&e);
}

static void
many_ids_come_and_go(void **state)
{
	struct env e;
	char text[64];

	(void)state;
	open_rpc(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle w = env_attach(&e, 0, 255, WORKERS, 0);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 250; i++) {
			snprintf(text, sizeof(text), "id-%u-%u", round, i);
			client(&e, i % 2, i, text);
		}
		env_run(&e);
		for (uint32_t i = 0; i < 250; i++) {
			snprintf(text, sizeof(text), "id-%u-%u|%u", round, i, i);
			env_send(&e, w, WORKERS, text);
		}
		env_run(&e);
		for (uint32_t i = 0; i < 250; i++) {
			const bb_handle h = bb_handle_make(i % 2, i, 1);
			snprintf(text, sizeof(text), "%u", i);
			assert_string_equal(env_log(&e, h), text);
			env_log_clear(&e, h);
			env_gone(&e, h, CLIENTS);
		}
		env_run(&e);
	}
	env_close(&e);
}

static void
a_client_without_memory_for_its_id_is_refused(void **state)
{
	struct env e;

	(void)state;
	open_rpc(&e, &(struct env_options){ .buffers = 8 });
	env_run(&e);
	const bb_handle a = client(&e, 0, 0, "a"); /* makes the page of peers */
	env_run(&e);
	uint32_t refused = 0, granted = 0;
	for (uint32_t i = 1; i < 200; i++) {
		e.mem.max_bytes = e.mem.used_bytes + i * 8;
		const bb_handle b = client(&e, 0, i, i % 2 ? "b" : "");
		env_run(&e);
		refused += env_session(&e, b)->refused;
		granted += env_session(&e, b)->granted;
		assert_int_equal(env_session(&e, b)->refused + env_session(&e, b)->granted, 1);
		env_gone(&e, b, CLIENTS);
		env_run(&e);
	}
	assert_true(refused > 10 && granted > 10);
	e.mem.max_bytes = UINT64_MAX;

	/* The same for message memory, where generated ids are written. */
	uint32_t taken[8], n = 0;
	while ((taken[n] = bb_pool_get(&e.pool, BB_POOL_CONTROL)) != BB_BUFFER_NONE)
		n++;
	const bb_handle c = client(&e, 0, 201, "");
	env_run(&e);
	assert_int_equal(env_session(&e, c)->cause, BB_REFUSED_NO_MEMORY);
	while (n > 0)
		bb_pool_put(&e.pool, taken[--n], 1);
	assert_int_equal(env_session(&e, a)->granted, 1);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_rotate_and_replies_find_their_client),
		cmocka_unit_test(clients_without_an_id_get_one_of_five_octets),
		cmocka_unit_test(an_id_is_held_by_one_client_at_a_time),
		cmocka_unit_test(with_handover_the_newcomer_gets_the_id),
		cmocka_unit_test(ids_that_begin_with_zero_are_refused),
		cmocka_unit_test(replies_for_nobody_are_counted_by_cause),
		cmocka_unit_test(long_replies_find_their_client_wherever_the_chain_breaks),
		cmocka_unit_test(requests_wait_for_workers_and_replies_do_not),
		cmocka_unit_test(many_ids_come_and_go),
		cmocka_unit_test(a_client_without_memory_for_its_id_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
