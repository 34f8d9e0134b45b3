/* SPDX-License-Identifier: BSD-3-Clause */
/* claims: routing ids found, replaced and given back while the table grows, and when it ends in the middle of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "route/claims.h"

static void
a_table_that_ends_while_it_grows_gives_everything_back(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 200; n++) {
		const struct bb_hash_key key = { 1, n };
		struct bb_claims c;
		struct bb_mem mem;

		bb_mem_init_heap(&mem, UINT64_MAX);
		assert_int_equal(bb_claims_init(&c, &mem, &key, 0), 0);
		for (uint32_t i = 0; i < n; i++)
			assert_non_null(bb_claims_generate(&c, NULL));
		bb_claims_fini(&c);
		assert_int_equal(mem.used_bytes, 0);
	}
}

static void
ids_are_found_whatever_the_table_does(void **state)
{
	const struct bb_hash_key key = { 3, 4 };
	struct bb_claim *claim[500];
	struct bb_claims c;
	struct bb_mem mem;

	(void)state;
	bb_mem_init_heap(&mem, UINT64_MAX);
	assert_int_equal(bb_claims_init(&c, &mem, &key, 0), 0);
	for (uint32_t i = 0; i < 500; i++) {
		claim[i] = bb_claims_add(&c, &i, sizeof(i), NULL);
		assert_non_null(claim[i]);
		if (i % 3 == 2) {
			const uint32_t gone = i - 1;
			bb_claims_remove(&c, claim[gone]);
			assert_null(bb_claims_find(&c, &gone, sizeof(gone)));
		}
		assert_ptr_equal(bb_claims_find(&c, &i, sizeof(i)), claim[i]);
		const uint32_t first = 0;
		assert_ptr_equal(bb_claims_find(&c, &first, sizeof(first)), claim[0]);
	}
	bb_claims_fini(&c);
	assert_int_equal(mem.used_bytes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_that_ends_while_it_grows_gives_everything_back),
		cmocka_unit_test(ids_are_found_whatever_the_table_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
