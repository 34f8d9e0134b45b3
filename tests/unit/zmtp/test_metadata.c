/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "base/endian.h"
#include "zmtp/metadata.h"

#define SOCKET_TYPE_REQ "\x0bSocket-Type\0\0\0\x03REQ"

/* View of a string literal's octets, without the terminating zero. */
#define LIT(s) ((struct bb_zmtp_view){ (const uint8_t *)(s), sizeof(s) - 1 })

static int
read_peer(struct bb_zmtp_view data, struct bb_zmtp_peer *ret)
{
	uint8_t *p = exact_copy(data.p, data.len);
	const int rc = bb_zmtp_metadata_read((struct bb_zmtp_view){ p, data.len }, ret);

	if (rc == 0 && ret->identity.len > 0) /* the copy goes: point into the original */
		ret->identity.p = data.p + (ret->identity.p - p);
	free(p);
	return rc;
}

static void
properties_come_in_their_order(void **state)
{
	struct bb_zmtp_view left = LIT(SOCKET_TYPE_REQ "\x08Identity\0\0\0\0"
						       "\x03X-A\0\0\0\x01z");
	struct bb_zmtp_property p = { 0 };

	(void)state;
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), 1);
	assert_int_equal(p.name.len, 11);
	assert_memory_equal(p.name.p, "Socket-Type", 11);
	assert_int_equal(p.value.len, 3);
	assert_memory_equal(p.value.p, "REQ", 3);
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), 1);
	assert_memory_equal(p.name.p, "Identity", 8);
	assert_int_equal(p.value.len, 0);
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), 1);
	assert_memory_equal(p.name.p, "X-A", 3);
	assert_memory_equal(p.value.p, "z", 1);
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), 0);
	assert_int_equal(left.len, 0);
}

static void
metadata_cut_anywhere_inside_a_property_is_malformed(void **state)
{
	const struct bb_zmtp_view whole = LIT(SOCKET_TYPE_REQ "\x08Identity\0\0\0\x02id");
	const size_t first = sizeof(SOCKET_TYPE_REQ) - 1;

	(void)state;
	for (size_t n = 0; n <= whole.len; n++) {
		struct bb_zmtp_peer peer = { 0 };
		const int rc = read_peer((struct bb_zmtp_view){ whole.p, n }, &peer);
		if (n == 0)
			assert_int_equal(rc, -(int)BB_ZMTP_SOCKET_TYPE);
		else if (n == first || n == whole.len)
			assert_int_equal(rc, 0);
		else
			assert_int_equal(rc, -(int)BB_ZMTP_METADATA);
	}
}

static void
an_iterator_stays_where_the_malformed_property_is(void **state)
{
	struct bb_zmtp_view left = LIT("\x01"
				       "a\0\0\0\x05"
				       "1234");
	const struct bb_zmtp_view before = left;
	struct bb_zmtp_property p = { .name = { NULL, 7 } };

	(void)state;
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), -(int)BB_ZMTP_METADATA);
	assert_ptr_equal(left.p, before.p);
	assert_int_equal(left.len, before.len);
	assert_int_equal(p.name.len, 7);
}

static void
names_are_1_to_255_octets_of_the_allowed_set(void **state)
{
	uint8_t data[1 + 255 + 4];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+";
		const uint8_t one[] = { 1, (uint8_t)c, 0, 0, 0, 0 };
		struct bb_zmtp_view left = { one, sizeof(one) };
		struct bb_zmtp_property p = { 0 };
		const int want = c != 0 && strchr(allowed, (int)c) != NULL ? 1 : -(int)BB_ZMTP_METADATA;
		assert_int_equal(bb_zmtp_metadata_next(&left, &p), want);
	}

	memset(data, 'n', sizeof(data));
	data[0] = 255;
	bb_store_be32(data + 256, 0);
	struct bb_zmtp_view left = { data, sizeof(data) };
	struct bb_zmtp_property p = { 0 };
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), 1);
	assert_int_equal(p.name.len, 255);

	left = LIT("\0\0\0\0\0");
	assert_int_equal(bb_zmtp_metadata_next(&left, &p), -(int)BB_ZMTP_METADATA);
}

static void
value_lengths_beyond_the_data_or_2_to_31_are_malformed(void **state)
{
	static const uint32_t lens[] = { 1, 255, 0x7fffffff, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint8_t data[6] = { 1, 'a' };
		struct bb_zmtp_view value;
		bb_store_be32(data + 2, lens[i]);
		uint8_t *p = exact_copy(data, sizeof(data));
		assert_int_equal(bb_zmtp_metadata_find((struct bb_zmtp_view){ p, sizeof(data) }, "a", &value),
			-(int)BB_ZMTP_METADATA);
		free(p);
	}
}

static void
lookup_ignores_case_and_needs_the_whole_name(void **state)
{
	const struct bb_zmtp_view data = LIT("\x0bsOCKET-tYPE\0\0\0\x03PUB");
	struct bb_zmtp_view value;
	struct bb_zmtp_peer peer = { 0 };

	(void)state;
	assert_int_equal(bb_zmtp_metadata_find(data, "Socket-Type", &value), 1);
	assert_memory_equal(value.p, "PUB", 3);
	assert_int_equal(bb_zmtp_metadata_find(data, "Socket-Typ", &value), 0);
	assert_int_equal(bb_zmtp_metadata_find(data, "Socket-Type2", &value), 0);
	/* Case is folded for letters alone: '-' and 'M' differ by that bit only. */
	assert_int_equal(bb_zmtp_metadata_find(data, "SocketMType", &value), 0);
	assert_int_equal(read_peer(data, &peer), 0);
	assert_int_equal(peer.type, BB_ZMTP_PUB);
	assert_int_equal(peer.identity.len, 0);
}

static void
a_property_that_is_there_twice_is_refused_where_it_matters(void **state)
{
	struct bb_zmtp_peer peer = { 0 };

	(void)state;
	assert_int_equal(read_peer(LIT(SOCKET_TYPE_REQ SOCKET_TYPE_REQ), &peer), -(int)BB_ZMTP_METADATA);
	assert_int_equal(read_peer(LIT(SOCKET_TYPE_REQ "\x08Identity\0\0\0\x01"
						       "a"
						       "\x08identity\0\0\0\x01"
						       "b"),
				 &peer),
		-(int)BB_ZMTP_METADATA);
	assert_int_equal(read_peer(LIT(SOCKET_TYPE_REQ "\x03X-A\0\0\0\0"
						       "\x03X-A\0\0\0\0"),
				 &peer),
		0);
}

static void
a_socket_type_must_be_there_and_known(void **state)
{
	struct bb_zmtp_peer peer = { 0 };

	(void)state;
	assert_int_equal(read_peer(LIT(""), &peer), -(int)BB_ZMTP_SOCKET_TYPE);
	assert_int_equal(read_peer(LIT("\x08Identity\0\0\0\0"), &peer), -(int)BB_ZMTP_SOCKET_TYPE);
	assert_int_equal(read_peer(LIT("\x0bSocket-Type\0\0\0\0"), &peer), -(int)BB_ZMTP_SOCKET_TYPE);
	assert_int_equal(read_peer(LIT("\x0bSocket-Type\0\0\0\x03req"), &peer), -(int)BB_ZMTP_SOCKET_TYPE);
	assert_int_equal(read_peer(LIT("\x0bSocket-Type\0\0\0\x06STREAM"), &peer), -(int)BB_ZMTP_SOCKET_TYPE);
	assert_int_equal(read_peer(LIT(SOCKET_TYPE_REQ), &peer), 0);
	assert_int_equal(peer.type, BB_ZMTP_REQ);
}

static void
identities_have_at_most_255_octets(void **state)
{
	static const size_t lens[] = { 0, 1, 254, 255, 256, 1000 };
	const size_t head = sizeof(SOCKET_TYPE_REQ "\x08Identity") - 1;

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint8_t data[2000];
		struct bb_zmtp_peer peer = { 0 };
		memcpy(data, SOCKET_TYPE_REQ "\x08Identity", head);
		bb_store_be32(data + head, (uint32_t)lens[i]);
		memset(data + head + 4, 'i', lens[i]);
		const int rc = read_peer((struct bb_zmtp_view){ data, head + 4 + lens[i] }, &peer);
		if (lens[i] > 255) {
			assert_int_equal(rc, -(int)BB_ZMTP_IDENTITY);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(peer.identity.len, lens[i]);
		if (lens[i] > 0)
			assert_ptr_equal(peer.identity.p, data + head + 4);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(properties_come_in_their_order),
		cmocka_unit_test(metadata_cut_anywhere_inside_a_property_is_malformed),
		cmocka_unit_test(an_iterator_stays_where_the_malformed_property_is),
		cmocka_unit_test(names_are_1_to_255_octets_of_the_allowed_set),
		cmocka_unit_test(value_lengths_beyond_the_data_or_2_to_31_are_malformed),
		cmocka_unit_test(lookup_ignores_case_and_needs_the_whole_name),
		cmocka_unit_test(a_property_that_is_there_twice_is_refused_where_it_matters),
		cmocka_unit_test(a_socket_type_must_be_there_and_known),
		cmocka_unit_test(identities_have_at_most_255_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
