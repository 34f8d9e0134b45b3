/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "zmtp/command.h"

#define LIT(s) ((struct bb_zmtp_view){ (const uint8_t *)(s), sizeof(s) - 1 })

/* Parse an exact copy; the views of a good result point into body again. */
static int
parse(struct bb_zmtp_view body, struct bb_zmtp_command *ret)
{
	uint8_t *p = exact_copy(body.p, body.len);
	const int rc = bb_zmtp_command_parse(p, body.len, ret);

	if (rc == 0) {
		ret->name.p = body.p + (ret->name.p - p);
		ret->data.p = body.p + (ret->data.p - p);
	}
	free(p);
	return rc;
}

static void
assert_command(struct bb_zmtp_view body, enum bb_zmtp_command_type type, struct bb_zmtp_view data)
{
	struct bb_zmtp_command c = { 0 };

	assert_int_equal(parse(body, &c), 0);
	assert_int_equal(c.type, type);
	assert_int_equal(c.data.len, data.len);
	if (data.len > 0)
		assert_memory_equal(c.data.p, data.p, data.len);
}

/* The body of a command frame as an encoder wrote it. */
static struct bb_zmtp_view
body_of(const uint8_t *p, size_t n)
{
	struct bb_frame f = { 0 };
	const int head = bb_frame_parse(p, n, &f);

	assert_true(head > 0);
	assert_int_equal(f.flags, BB_FRAME_COMMAND);
	assert_int_equal((size_t)head + f.len, n);
	assert_true(bb_frame_is_canonical(p, &f));
	return (struct bb_zmtp_view){ p + head, n - (size_t)head };
}

static void
each_command_is_known_by_its_name(void **state)
{
	(void)state;
	assert_command(LIT("\x05READY"), BB_ZMTP_CMD_READY, LIT(""));
	assert_command(LIT("\x05READYmeta"), BB_ZMTP_CMD_READY, LIT("meta"));
	assert_command(LIT("\x09SUBSCRIBE"), BB_ZMTP_CMD_SUBSCRIBE, LIT(""));
	assert_command(LIT("\x09SUBSCRIBEtopic"), BB_ZMTP_CMD_SUBSCRIBE, LIT("topic"));
	assert_command(LIT("\x06"
			   "CANCELtopic"),
		BB_ZMTP_CMD_CANCEL, LIT("topic"));
	assert_command(LIT("\x05"
			   "ERROR\x03"
			   "400"),
		BB_ZMTP_CMD_ERROR, LIT("400"));
	assert_command(LIT("\x04PING\0\0"), BB_ZMTP_CMD_PING, LIT(""));
	assert_command(LIT("\x04PONGabc"), BB_ZMTP_CMD_PONG, LIT("abc"));
	assert_command(LIT("\x04PONG"), BB_ZMTP_CMD_PONG, LIT(""));
}

static void
other_names_are_unknown_and_no_error(void **state)
{
	(void)state;
	assert_command(LIT("\x04JOINgroup"), BB_ZMTP_CMD_UNKNOWN, LIT("group"));
	assert_command(LIT("\x05readyx"), BB_ZMTP_CMD_UNKNOWN, LIT("x"));
	assert_command(LIT("\x04READY"), BB_ZMTP_CMD_UNKNOWN, LIT("Y"));
	assert_command(LIT("\x03PIN"), BB_ZMTP_CMD_UNKNOWN, LIT(""));
	assert_command(LIT("\x01\0"), BB_ZMTP_CMD_UNKNOWN, LIT(""));
}

static void
a_name_that_is_empty_or_does_not_fit_is_refused(void **state)
{
	struct bb_zmtp_command c = { 0 };

	(void)state;
	assert_int_equal(parse(LIT(""), &c), -(int)BB_ZMTP_COMMAND);
	assert_int_equal(parse(LIT("\0"), &c), -(int)BB_ZMTP_COMMAND);
	assert_int_equal(parse(LIT("\0READY"), &c), -(int)BB_ZMTP_COMMAND);
	assert_int_equal(parse(LIT("\xffREADY"), &c), -(int)BB_ZMTP_COMMAND);
	for (size_t n = 0; n < 6; n++)
		assert_int_equal(parse((struct bb_zmtp_view){ (const uint8_t *)"\x05READY", n }, &c),
			-(int)BB_ZMTP_COMMAND);
}

static void
a_ping_needs_its_ttl_and_its_context_is_cut(void **state)
{
	struct bb_zmtp_command c = { 0 };

	(void)state;
	assert_int_equal(parse(LIT("\x04PING"), &c), -(int)BB_ZMTP_PING);
	assert_int_equal(parse(LIT("\x04PING\x01"), &c), -(int)BB_ZMTP_PING);
	assert_int_equal(parse(LIT("\x04PING\xff\xfe"), &c), 0);
	assert_int_equal(c.ttl_ds, 0xfffe);
	assert_int_equal(c.data.len, 0);
	assert_command(LIT("\x04PING\0\x0a"
			   "0123456789abcdef"),
		BB_ZMTP_CMD_PING, LIT("0123456789abcdef"));
	assert_command(LIT("\x04PING\0\x0a"
			   "0123456789abcdefg"),
		BB_ZMTP_CMD_PING, LIT("0123456789abcdef"));
	assert_command(LIT("\x04PONG0123456789abcdefg"), BB_ZMTP_CMD_PONG, LIT("0123456789abcdef"));
}

static void
the_reason_of_an_error_must_fit(void **state)
{
	struct bb_zmtp_command c = { 0 };

	(void)state;
	assert_int_equal(parse(LIT("\x05"
				   "ERROR"),
				 &c),
		-(int)BB_ZMTP_ERROR);
	assert_int_equal(parse(LIT("\x05"
				   "ERROR\x04"
				   "400"),
				 &c),
		-(int)BB_ZMTP_ERROR);
	assert_int_equal(parse(LIT("\x05"
				   "ERROR\xff"),
				 &c),
		-(int)BB_ZMTP_ERROR);
	assert_command(LIT("\x05"
			   "ERROR\0"),
		BB_ZMTP_CMD_ERROR, LIT(""));
	assert_command(LIT("\x05"
			   "ERROR\x02"
			   "400"),
		BB_ZMTP_CMD_ERROR, LIT("40"));
}

static void
subscriptions_in_message_form_are_told_from_messages(void **state)
{
	struct bb_zmtp_subscription s = { 0 };

	(void)state;
	assert_true(bb_zmtp_subscription_parse((const uint8_t *)"\x01topic", 6, &s));
	assert_true(s.subscribe);
	assert_int_equal(s.topic.len, 5);
	assert_memory_equal(s.topic.p, "topic", 5);
	assert_true(bb_zmtp_subscription_parse((const uint8_t *)"\0", 1, &s));
	assert_false(s.subscribe);
	assert_int_equal(s.topic.len, 0);
	assert_false(bb_zmtp_subscription_parse((const uint8_t *)"\x02x", 2, &s));
	assert_false(bb_zmtp_subscription_parse((const uint8_t *)"", 0, &s));
	assert_false(bb_zmtp_subscription_parse(NULL, 0, &s));
}

static void
ready_of_a_req_is_what_libzmq_sends(void **state)
{
	static const uint8_t want[] = "\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0";
	const struct bb_zmtp_view none = { NULL, 0 };
	uint8_t p[BB_ZMTP_READY_MAX];

	(void)state;
	assert_int_equal(bb_zmtp_encode_ready(p, sizeof(p), BB_ZMTP_REQ, &none), 40);
	assert_memory_equal(p, want, 40);
}

static void
ready_without_identity_has_one_property(void **state)
{
	uint8_t p[BB_ZMTP_READY_MAX];

	(void)state;
	const size_t n = bb_zmtp_encode_ready(p, sizeof(p), BB_ZMTP_XPUB, NULL);
	assert_int_equal(n, 2 + 6 + 1 + 11 + 4 + 4);
	assert_memory_equal(p, "\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04XPUB", n);
}

static void
ready_reads_back_with_the_longest_names(void **state)
{
	uint8_t id[BB_ZMTP_IDENTITY_MAX], p[BB_ZMTP_READY_MAX];
	const struct bb_zmtp_view identity = { id, sizeof(id) };
	struct bb_zmtp_command c = { 0 };
	struct bb_zmtp_peer peer = { 0 };

	(void)state;
	memset(id, 0xa5, sizeof(id));
	const size_t n = bb_zmtp_encode_ready(p, sizeof(p), BB_ZMTP_CHANNEL, &identity);
	assert_int_equal(n, BB_ZMTP_READY_MAX);
	assert_int_equal(parse(body_of(p, n), &c), 0);
	assert_int_equal(c.type, BB_ZMTP_CMD_READY);
	assert_int_equal(bb_zmtp_metadata_read(c.data, &peer), 0);
	assert_int_equal(peer.type, BB_ZMTP_CHANNEL);
	assert_int_equal(peer.identity.len, sizeof(id));
	assert_memory_equal(peer.identity.p, id, sizeof(id));
}

static void
error_reads_back_and_long_reasons_are_cut(void **state)
{
	char reason[400];
	uint8_t p[BB_ZMTP_ERROR_MAX];
	struct bb_zmtp_command c = { 0 };

	(void)state;
	memset(reason, 'r', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	size_t n = bb_zmtp_encode_error(p, sizeof(p), reason);
	assert_int_equal(n, BB_ZMTP_ERROR_MAX);
	assert_int_equal(parse(body_of(p, n), &c), 0);
	assert_int_equal(c.type, BB_ZMTP_CMD_ERROR);
	assert_int_equal(c.data.len, 255);

	n = bb_zmtp_encode_error(p, sizeof(p), "no");
	assert_int_equal(n, 11);
	assert_memory_equal(p,
		"\x04\x09\x05"
		"ERROR\x02no",
		n);
}

static void
subscriptions_are_written_in_both_forms(void **state)
{
	const struct bb_zmtp_subscription sub = { true, LIT("abc") }, cancel = { false, LIT("") };
	uint8_t p[64];

	(void)state;
	assert_int_equal(bb_zmtp_encode_subscription(p, sizeof(p), &sub, true), 15);
	assert_memory_equal(p, "\x04\x0d\x09SUBSCRIBEabc", 15);
	assert_int_equal(bb_zmtp_encode_subscription(p, sizeof(p), &sub, false), 6);
	assert_memory_equal(p,
		"\x00\x04\x01"
		"abc",
		6);
	assert_int_equal(bb_zmtp_encode_subscription(p, sizeof(p), &cancel, true), 9);
	assert_memory_equal(p,
		"\x04\x07\x06"
		"CANCEL",
		9);
	assert_int_equal(bb_zmtp_encode_subscription(p, sizeof(p), &cancel, false), 3);
	assert_memory_equal(p, "\x00\x01\x00", 3);
}

static void
subscriptions_of_any_topic_length_read_back(void **state)
{
	static const size_t lens[] = { 0, 1, 244, 245, 246, 247, 248, 249, 253, 254, 255, 256, 65536 };
	uint8_t *topic = calloc(1, 65536), *p = malloc(65536 + 32);

	(void)state;
	assert_non_null(topic);
	assert_non_null(p);
	for (size_t i = 0; i < 4 * sizeof(lens) / sizeof(lens[0]); i++) {
		const struct bb_zmtp_subscription s = { i & 1, { topic, lens[i / 4] } };
		const bool as_command = i & 2;
		const size_t n = bb_zmtp_encode_subscription(p, 65536 + 32, &s, as_command);
		assert_int_equal(n, bb_zmtp_subscription_wire_len(&s, as_command));
		assert_int_equal(bb_zmtp_encode_subscription(p, n, &s, as_command), n);
		if (as_command) {
			struct bb_zmtp_command c = { 0 };
			assert_int_equal(parse(body_of(p, n), &c), 0);
			assert_int_equal(c.type, s.subscribe ? BB_ZMTP_CMD_SUBSCRIBE : BB_ZMTP_CMD_CANCEL);
			assert_int_equal(c.data.len, s.topic.len);
		} else {
			struct bb_frame f = { 0 };
			struct bb_zmtp_subscription back = { 0 };
			const int head = bb_frame_parse(p, n, &f);
			assert_true(head > 0 && f.flags == 0 && bb_frame_is_canonical(p, &f));
			assert_true(bb_zmtp_subscription_parse(p + head, f.len, &back));
			assert_int_equal(back.subscribe, s.subscribe);
			assert_int_equal(back.topic.len, s.topic.len);
		}
	}
	free(topic);
	free(p);
}

static void
ping_and_pong_read_back_and_contexts_are_cut(void **state)
{
	uint8_t p[BB_ZMTP_PING_MAX], pong[BB_ZMTP_PONG_MAX];
	struct bb_zmtp_command c = { 0 };

	(void)state;
	size_t n = bb_zmtp_encode_ping(p, sizeof(p), 0x1234, LIT("0123456789abcdefXYZ"));
	assert_int_equal(n, BB_ZMTP_PING_MAX);
	assert_memory_equal(p,
		"\x04\x17\x04PING\x12\x34"
		"0123456789abcdef",
		n);
	assert_int_equal(parse(body_of(p, n), &c), 0);
	assert_int_equal(c.ttl_ds, 0x1234);

	n = bb_zmtp_encode_pong(pong, sizeof(pong), c.data);
	assert_int_equal(n, BB_ZMTP_PONG_MAX);
	assert_command(body_of(pong, n), BB_ZMTP_CMD_PONG, LIT("0123456789abcdef"));

	n = bb_zmtp_encode_ping(p, sizeof(p), 0, (struct bb_zmtp_view){ NULL, 0 });
	assert_memory_equal(p, "\x04\x07\x04PING\0\0", n);
	n = bb_zmtp_encode_pong(p, sizeof(p), (struct bb_zmtp_view){ NULL, 0 });
	assert_memory_equal(p, "\x04\x05\x04PONG", n);
}

/* Each encoder into every size: all or nothing, and never an octet past the end. */
static void
a_frame_that_does_not_fit_is_not_begun(void **state)
{
	const struct bb_zmtp_view id = LIT("id");
	const struct bb_zmtp_subscription sub = { true, LIT("topic") };
	uint8_t full[128];
	const size_t want[] = {
		bb_zmtp_encode_ready(full, sizeof(full), BB_ZMTP_DEALER, &id),
		bb_zmtp_encode_error(full, sizeof(full), "reason"),
		bb_zmtp_encode_subscription(full, sizeof(full), &sub, true),
		bb_zmtp_encode_subscription(full, sizeof(full), &sub, false),
		bb_zmtp_encode_ping(full, sizeof(full), 1, id),
		bb_zmtp_encode_pong(full, sizeof(full), id),
	};

	(void)state;
	for (size_t size = 0; size < sizeof(full); size++) {
		uint8_t *p = calloc(1, size + 1);
		assert_non_null(p);
		for (size_t i = 0; i < BB_ARRAY_LEN(want); i++) {
			const size_t got[] = {
				bb_zmtp_encode_ready(p, i == 0 ? size : 0, BB_ZMTP_DEALER, &id),
				bb_zmtp_encode_error(p, i == 1 ? size : 0, "reason"),
				bb_zmtp_encode_subscription(p, i == 2 ? size : 0, &sub, true),
				bb_zmtp_encode_subscription(p, i == 3 ? size : 0, &sub, false),
				bb_zmtp_encode_ping(p, i == 4 ? size : 0, 1, id),
				bb_zmtp_encode_pong(p, i == 5 ? size : 0, id),
			};
			assert_int_equal(got[i], size >= want[i] ? want[i] : 0);
			for (size_t j = got[i]; j <= size; j++)
				assert_int_equal(p[j], 0);
			memset(p, 0, size + 1);
		}
		free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_is_known_by_its_name),
		cmocka_unit_test(other_names_are_unknown_and_no_error),
		cmocka_unit_test(a_name_that_is_empty_or_does_not_fit_is_refused),
		cmocka_unit_test(a_ping_needs_its_ttl_and_its_context_is_cut),
		cmocka_unit_test(the_reason_of_an_error_must_fit),
		cmocka_unit_test(subscriptions_in_message_form_are_told_from_messages),
		cmocka_unit_test(ready_of_a_req_is_what_libzmq_sends),
		cmocka_unit_test(ready_without_identity_has_one_property),
		cmocka_unit_test(ready_reads_back_with_the_longest_names),
		cmocka_unit_test(error_reads_back_and_long_reasons_are_cut),
		cmocka_unit_test(subscriptions_are_written_in_both_forms),
		cmocka_unit_test(subscriptions_of_any_topic_length_read_back),
		cmocka_unit_test(ping_and_pong_read_back_and_contexts_are_cut),
		cmocka_unit_test(a_frame_that_does_not_fit_is_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
