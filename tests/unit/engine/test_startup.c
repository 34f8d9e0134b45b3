/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/startup.h"

/* What happened, as text: "+a" a was made, "-a" undone. */
struct diary {
	char text[64];
	char fails; /* the step that does */
};

static int
note(struct diary *d, char sign, char step, struct bb_text *text)
{
	const size_t len = strlen(d->text);

	if (sign == '+' && d->fails == step)
		return bb_text_fail(text, -EIO, "step %c failed", step);
	d->text[len] = sign;
	d->text[len + 1] = step;
	return 0;
}

#define STEP(x)                                              \
	static int x##_init(void *ctx, struct bb_text *text) \
	{                                                    \
		return note(ctx, '+', #x[0], text);          \
	}                                                    \
	static void x##_fini(void *ctx)                      \
	{                                                    \
		note(ctx, '-', #x[0], NULL);                 \
	}
STEP(a)
STEP(b)
STEP(c)

static const struct bb_startup_step steps[] = {
	{ "a", a_init, a_fini },
	{ "b", b_init, b_fini },
	{ "c", c_init, c_fini },
};

static void
steps_are_undone_in_reverse(void **state)
{
	struct diary d = { "", 0 };
	struct bb_text text = { "" };
	size_t done;

	(void)state;
	assert_int_equal(bb_startup_do(steps, 3, &d, &done, &text), 0);
	assert_int_equal(done, 3);
	bb_startup_undo(steps, &done, &d);
	assert_string_equal(d.text, "+a+b+c-c-b-a");
	assert_int_equal(done, 0);
	bb_startup_undo(steps, &done, &d); /* nothing stands any more */
	assert_string_equal(d.text, "+a+b+c-c-b-a");
}

static void
a_failure_undoes_what_was_done_and_no_more(void **state)
{
	static const char *const expected[] = { "", "+a-a", "+a+b-b-a" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct diary d = { "", (char)('a' + i) };
		struct bb_text text = { "" };
		size_t done;
		assert_int_equal(bb_startup_do(steps, 3, &d, &done, &text), -EIO);
		assert_string_equal(d.text, expected[i]);
		assert_int_equal(done, 0);
		assert_int_equal(text.s[5], 'a' + i);
	}
}

static void
a_step_may_have_nothing_to_undo(void **state)
{
	const struct bb_startup_step bare[] = { { "a", a_init, NULL }, { "b", b_init, b_fini } };
	struct diary d = { "", 0 };
	struct bb_text text;
	size_t done;

	(void)state;
	assert_int_equal(bb_startup_do(bare, 2, &d, &done, &text), 0);
	bb_startup_undo(bare, &done, &d);
	assert_string_equal(d.text, "+a+b-b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_undone_in_reverse),
		cmocka_unit_test(a_failure_undoes_what_was_done_and_no_more),
		cmocka_unit_test(a_step_may_have_nothing_to_undo),
	};

	return cmocka_run_group_tests_name("engine/startup", tests, NULL, NULL);
}
