/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table races a naive model under random operations: nested, shared, binary, empty and long topics,
 * leaving in small steps, tiny and large caches and set budgets, failing allocations,
 * late reclaim. Every answer is compared. A failure prints its seed; run the program with it to repeat.
 */
#include <errno.h>

#include "test_subtab_model.h"

enum { SUBS = 40, TOPICS = 160, LONG_MAX = 61440, FLIGHT = 64, LOG = 4096 };

enum sub_state { OUT, IN, LEAVING };

/* A set that an I/O core may still read, and what it must say. */
struct flight {
	const struct bb_set *set;
	uint64_t sum;
	uint64_t stamp;
};

struct logged {
	uint64_t seq;
	bool added;
	struct bytes topic;
};

struct race {
	uint64_t seed;
	struct bb_rand rand;
	struct test_mem mem;
	struct bb_subtab *table;
	struct model model;
	enum sub_state state[SUBS];
	uint32_t index[SUBS]; /* the table's */
	bb_handle handle[SUBS];
	bool wide; /* nodes with more than 48 children */
	uint32_t generation;
	uint8_t *text; /* all long topics are prefixes of it */
	struct bytes topics[TOPICS];
	uint64_t stamp;
	struct flight flights[FLIGHT];
	uint32_t flight_count;
	uint64_t seq;

	/* A publisher that is told all topics bit by bit. */
	bool walking;
	struct bb_subtab_cursor cursor;
	struct model told;    /* subscriber 0 */
	struct model present; /* all that was there when the walk began, and has been since */
	struct bytes last;
	struct logged log[LOG];
	uint32_t log_count;
};

static uint64_t seeds_from, seeds_to; /* from the command line, or the test's own */
static uint64_t seed_now;	      /* printed on failure */

static struct bytes
random_topic(struct race *r)
{
	struct bb_rand *rand = &r->rand;
	const uint32_t kind = bb_rand_below(rand, 16);
	uint8_t b[120];

	if (kind == 0)
		return bytes_copy(b, 0);
	if (kind == 1) /* long, around the lengths at which labels end */
		return bytes_copy(r->text, 240 + bb_rand_below(rand, 300));
	if (kind == 2 && bb_rand_one_in(rand, 4))
		return bytes_copy(r->text, bb_rand_below(rand, LONG_MAX + 1));
	if (kind < (r->wide ? 12 : 5)) { /* every byte as a child */
		b[0] = 'w';
		b[1] = (uint8_t)bb_rand_u64(rand);
		return bytes_copy(b, 2);
	}
	if (kind < 7) { /* bytes that matter to comparisons */
		for (uint32_t i = 0; i < 4; i++)
			b[i] = (uint8_t) "\0\xff\x80\x7f"[bb_rand_below(rand, 4)];
		return bytes_copy(b, 1 + bb_rand_below(rand, 4));
	}
	if (kind == 7) { /* one nested in the other, around the lengths of cached keys */
		memset(b, 'x', sizeof(b));
		return bytes_copy(b, 1 + bb_rand_below(rand, sizeof(b)));
	}
	for (uint32_t i = 0; i < 12; i++)
		b[i] = (uint8_t)('a' + bb_rand_below(rand, 2 + (i > 3)));
	return bytes_copy(b, 1 + bb_rand_below(rand, 12));
}

static struct bytes
any_topic(struct race *r)
{
	return r->topics[bb_rand_below(&r->rand, TOPICS)];
}

static void
log_change(struct race *r, struct bytes topic, const struct bb_subtab_change *c, bool added)
{
	if (!c->sub) {
		assert_true(c->seq == 0 && !c->topic);
		return;
	}
	assert_true(c->seq > r->seq);
	r->seq = c->seq;
	if (!c->topic || !r->walking)
		return;
	assert_true(r->log_count < LOG);
	r->log[r->log_count++] = (struct logged){
		.seq = c->seq, .added = added, .topic = bytes_copy(topic.data, topic.len)
	};
	struct model_entry *e = model_find(&r->present, 0, topic);
	if (e != NULL)
		model_remove(&r->present, e);
}

static void
do_add(struct race *r, uint32_t sub)
{
	const struct bytes topic = any_topic(r);
	const bool had_topic = model_has_topic(&r->model, topic);
	const bool had = model_find(&r->model, sub, topic) != NULL;
	struct bb_subtab_change c;
	const int rc = bb_subtab_add(r->table, r->index[sub], topic.data, topic.len, &c);

	if (rc == -ENOMEM) {
		assert_true(r->mem.fail_one_in != 0);
		return;
	}
	assert_int_equal(rc, 0);
	model_add(&r->model, sub, topic);
	assert_int_equal(c.topic, !had_topic);
	assert_int_equal(c.sub, !had);
	log_change(r, topic, &c, true);
}

static void
do_cancel(struct race *r, uint32_t sub)
{
	struct bytes topic = any_topic(r);
	const struct model_entry *likely = model_newest(&r->model, sub);

	if (likely != NULL && bb_rand_one_in(&r->rand, 2))
		for (uint32_t i = 0; i < TOPICS; i++)
			if (bytes_equal(r->topics[i], likely->topic))
				topic = r->topics[i];

	struct model_entry *e = model_find(&r->model, sub, topic);
	struct bb_subtab_change c;
	const int rc = bb_subtab_cancel(r->table, r->index[sub], topic.data, topic.len, &c);
	if (e == NULL) {
		assert_int_equal(rc, -ENOENT);
		return;
	}
	assert_int_equal(rc, 0);
	model_remove(&r->model, e);
	assert_true(c.sub);
	assert_int_equal(c.topic, !model_has_topic(&r->model, topic));
	log_change(r, topic, &c, false);
}

/* The last cancels of one leave step, as called. */
struct leaving {
	struct bytes topics[8];
	uint64_t seqs[8];
	uint32_t count;
};

static void
on_last(void *ctx, const void *topic, uint32_t len, uint64_t seq)
{
	struct leaving *l = ctx;

	assert_true(l->count < BB_ARRAY_LEN(l->topics));
	l->seqs[l->count] = seq;
	l->topics[l->count++] = bytes_copy(topic, len);
}

static void
do_leave(struct race *r, uint32_t sub)
{
	const uint32_t budget = bb_rand_one_in(&r->rand, 2) ? 1 : 1 + bb_rand_below(&r->rand, 8);
	struct leaving l = { .count = 0 };
	uint32_t called = 0;

	const bool done = bb_subtab_leave_step(r->table, r->index[sub], budget, on_last, &l);
	for (uint32_t i = 0; i < budget; i++) {
		struct model_entry *e = model_newest(&r->model, sub);
		if (e == NULL)
			break;
		struct bytes topic = bytes_copy(e->topic.data, e->topic.len);
		model_remove(&r->model, e);
		if (!model_has_topic(&r->model, topic)) {
			assert_true(called < l.count && bytes_equal(l.topics[called], topic));
			const struct bb_subtab_change c = {
				.seq = l.seqs[called++], .topic = true, .sub = true
			};
			log_change(r, topic, &c, false);
		}
		free(topic.data);
	}
	assert_int_equal(called, l.count);
	assert_int_equal(done, model_newest(&r->model, sub) == NULL);
	r->state[sub] = done ? OUT : LEAVING;
	for (uint32_t i = 0; i < l.count; i++)
		free(l.topics[i].data);
}

static void
do_join(struct race *r, uint32_t sub)
{
	const bb_handle handle = bb_handle_make(sub % 5 * 50, sub, ++r->generation);

	if (bb_subtab_join(r->table, handle, &r->index[sub]) < 0) {
		assert_true(r->mem.fail_one_in != 0);
		return;
	}
	r->handle[sub] = handle;
	r->state[sub] = IN;
}

/* Subscribers that a set names, as a mask; checks its form. */
static uint64_t
set_mask(const struct race *r, const struct bb_set *set)
{
	uint64_t mask = 0;
	uint32_t first = 0;

	if (set == NULL)
		return 0;
	assert_true(set->serial != 0);
	for (uint32_t i = 0; i < set->core_count; i++) {
		const struct bb_set_core *core = &set->cores[i];
		assert_true(core->first == first && core->count > 0);
		assert_true(i == 0 || core->core > set->cores[i - 1].core);
		for (uint32_t k = first; k < first + core->count; k++) {
			const uint32_t sub = bb_handle_slot(set->handles[k]);
			assert_int_equal(bb_handle_core(set->handles[k]), core->core);
			assert_true(set->handles[k] == r->handle[sub]);
			assert_true((mask >> sub & 1) == 0);
			mask |= UINT64_C(1) << sub;
		}
		first += core->count;
	}
	assert_true(first == set->receivers && first > 0);
	return mask;
}

static uint64_t
handles_sum(const struct bb_set *set)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < set->receivers; i++)
		sum += set->handles[i] * (i + 1);
	return sum;
}

/* Remember a set as if a delivery with the current stamp named it. */
static void
fly(struct race *r, const struct bb_set *set)
{
	if (set != NULL && r->flight_count < FLIGHT)
		r->flights[r->flight_count++] = (struct flight){
			.set = set, .sum = handles_sum(set), .stamp = r->stamp
		};
}

/* I/O cores catch up to some stamp; what is beyond must still be readable and unchanged. */
static void
do_reclaim(struct race *r)
{
	const uint64_t done = r->stamp - bb_rand_below(&r->rand, 20);
	uint32_t kept = 0;

	bb_subtab_reclaim(r->table, done);
	for (uint32_t i = 0; i < r->flight_count; i++) {
		const struct flight *f = &r->flights[i];
		if (f->stamp <= done)
			continue;
		assert_true(handles_sum(f->set) == f->sum);
		r->flights[kept++] = *f;
	}
	r->flight_count = kept;
	bb_subtab_stamp(r->table, ++r->stamp);
}

static void
do_match(struct race *r)
{
	struct bb_subtab_query q[24];
	uint64_t mask[24];
	const uint32_t count = 1 + bb_rand_below(&r->rand, 24);
	const bool burst = bb_rand_one_in(&r->rand, 2);
	struct bb_subtab_stats before, after;

	bb_subtab_stats(r->table, &before);
	for (uint32_t i = 0; i < count; i++) {
		const struct bytes t = i > 0 && bb_rand_one_in(&r->rand, 4)
					       ? (struct bytes){ (uint8_t *)(uintptr_t)q[i - 1].topic,
							 q[i - 1].len }
					       : any_topic(r);
		q[i] = (struct bb_subtab_query){ .topic = t.data, .len = t.len };
		if (!burst)
			q[i].set = bb_subtab_match(r->table, t.data, t.len);
	}
	if (burst)
		bb_subtab_match_burst(r->table, q, count);
	bb_subtab_stats(r->table, &after);
	for (uint32_t i = 0; i < count; i++) {
		if (q[i].set == BB_SUBTAB_NOMEM) {
			assert_true(r->mem.fail_one_in != 0);
			mask[i] = UINT64_MAX;
			continue;
		}
		mask[i] = set_mask(r, q[i].set);
		const struct bytes t = { (uint8_t *)(uintptr_t)q[i].topic, q[i].len };
		assert_true(mask[i] == model_match(&r->model, t));
		fly(r, q[i].set);
		for (uint32_t k = 0; k < i; k++) /* equal receivers, one pointer */
			if (mask[k] != UINT64_MAX && after.set_flushes == before.set_flushes)
				assert_int_equal(mask[k] == mask[i], q[k].set == q[i].set);
	}
}

/* ---- The publisher that is told bit by bit ---- */

static void
walk_begin(struct race *r)
{
	bb_subtab_cursor_open(r->table, &r->cursor);
	r->walking = true;
	r->last = (struct bytes){ 0 };
	for (uint32_t i = 0; i < r->model.count; i++)
		if (model_find(&r->present, 0, r->model.entries[i].topic) == NULL)
			model_add(&r->present, 0, r->model.entries[i].topic);
}

static void
walk_end(struct race *r)
{
	bb_subtab_cursor_close(r->table, &r->cursor);
	r->walking = false;
	for (uint32_t i = 0; i < r->present.count; i++)
		assert_non_null(model_find(&r->told, 0, r->present.entries[i].topic));
	for (uint32_t i = 0; i < r->log_count; i++) {
		struct logged *l = &r->log[i];
		struct model_entry *e = model_find(&r->told, 0, l->topic);
		assert_true(l->seq > r->cursor.seq);
		if (l->added) {
			assert_null(e); /* a publisher would count it twice */
			model_add(&r->told, 0, l->topic);
		} else if (e != NULL) {
			model_remove(&r->told, e);
		}
		free(l->topic.data);
	}
	r->log_count = 0;
	for (uint32_t i = 0; i < r->told.count; i++)
		assert_true(model_has_topic(&r->model, r->told.entries[i].topic));
	for (uint32_t i = 0; i < r->model.count; i++)
		assert_non_null(model_find(&r->told, 0, r->model.entries[i].topic));
	while (r->told.count > 0)
		model_remove(&r->told, r->told.entries);
	while (r->present.count > 0)
		model_remove(&r->present, r->present.entries);
	free(r->last.data);
}

static void
walk_step(struct race *r)
{
	const void *topic;
	uint32_t len;

	if (!r->walking) {
		walk_begin(r);
		return;
	}
	const int rc = bb_subtab_next_topic(r->table, &r->cursor, &topic, &len);
	if (rc == 0) {
		walk_end(r);
	} else if (rc == 1) {
		struct bytes t = bytes_copy(topic, len);
		assert_true(model_has_topic(&r->model, t));
		assert_true(r->last.data == NULL || bytes_order(r->last, t) < 0);
		model_add(&r->told, 0, t);
		free(r->last.data);
		r->last = t;
	} else {
		assert_true(rc == -EAGAIN || (rc == -ENOMEM && r->mem.fail_one_in != 0));
	}
}

/* ---- The race ---- */

static void
check_stats(const struct race *r)
{
	struct bb_subtab_stats s;
	uint32_t subs = 0, topics = 0;

	bb_subtab_stats(r->table, &s);
	for (uint32_t i = 0; i < SUBS; i++) {
		subs += r->state[i] != OUT;
		uint32_t of_sub = 0;
		for (uint32_t k = 0; k < r->model.count; k++)
			of_sub += r->model.entries[k].sub == i;
		if (r->state[i] != OUT)
			assert_int_equal(bb_subtab_sub_topics(r->table, r->index[i]), of_sub);
	}
	for (uint32_t i = 0; i < r->model.count; i++) {
		const struct model upto = { .entries = r->model.entries, .count = i };
		topics += !model_has_topic(&upto, r->model.entries[i].topic);
	}
	assert_int_equal(s.subscribers, subs);
	assert_int_equal(s.subscriptions, r->model.count);
	assert_int_equal(s.topics, topics);
	assert_true(s.bytes == r->mem.mem.used_bytes);
}

static void
race_step(struct race *r, uint32_t step)
{
	const uint32_t sub = bb_rand_below(&r->rand, SUBS);
	/* Now it grows, now it shrinks. */
	const uint32_t adds = step / 400 % 2 == 0 ? 7 : 3;

	if (step % 300 == 0)
		r->mem.fail_one_in = bb_rand_one_in(&r->rand, 2) ? 1 + bb_rand_below(&r->rand, 12) : 0;
	if (r->state[sub] == OUT)
		do_join(r, sub);
	else if (r->state[sub] == LEAVING || bb_rand_one_in(&r->rand, 60))
		do_leave(r, sub);
	else if (bb_rand_below(&r->rand, 10) < adds)
		do_add(r, sub);
	else
		do_cancel(r, sub);
	if (bb_rand_one_in(&r->rand, 2))
		do_match(r);
	if (bb_rand_one_in(&r->rand, 3))
		walk_step(r);
	if (bb_rand_one_in(&r->rand, 8))
		do_reclaim(r);
	if (bb_rand_one_in(&r->rand, 50))
		check_stats(r);
}

static void
race_end(struct race *r)
{
	struct bb_subtab_stats s;

	r->mem.fail_one_in = 0;
	while (r->walking)
		walk_step(r);
	for (uint32_t i = 0; i < SUBS; i++)
		while (r->state[i] != OUT)
			do_leave(r, i);
	check_stats(r);
	bb_subtab_stats(r->table, &s);
	assert_int_equal(s.nodes, 1);
	bb_subtab_destroy(r->table);
	assert_int_equal(r->mem.mem.used_bytes, 0);
	assert_int_equal(r->mem.real_bytes, 0);
	for (uint32_t i = 0; i < TOPICS; i++)
		free(r->topics[i].data);
	model_fini(&r->model);
	model_fini(&r->told);
	model_fini(&r->present);
	free(r->text);
}

static void
run_race(uint64_t seed, uint32_t steps)
{
	static const uint32_t cache_entries[] = { 2, 8, 64, 4096 };
	static const uint64_t set_bytes[] = { 1, 600, 5000, 1 << 20 };
	struct race *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	seed_now = seed;
	r->seed = seed;
	bb_rand_init(&r->rand, seed);
	test_mem_init(&r->mem, seed);
	const struct bb_subtab_options options = {
		.actor = 1,
		.subscriptions_max = 1000,
		.cache_entries = cache_entries[bb_rand_below(&r->rand, 4)],
		.set_bytes_max = set_bytes[bb_rand_below(&r->rand, 4)],
		.mem = &r->mem.mem,
		.hash_key = { .k0 = seed, .k1 = ~seed },
	};
	r->mem.fail_one_in = 3;
	while (bb_subtab_create(&options, &r->table) < 0)
		assert_int_equal(r->mem.mem.used_bytes, 0);
	r->text = malloc(LONG_MAX);
	assert_non_null(r->text);
	for (uint32_t i = 0; i < LONG_MAX; i++)
		r->text[i] = (uint8_t)bb_rand_u64(&r->rand);
	r->wide = bb_rand_one_in(&r->rand, 3);
	for (uint32_t i = 0; i < TOPICS; i++)
		r->topics[i] = random_topic(r);
	for (uint32_t i = 0; i < steps; i++)
		race_step(r, i);
	race_end(r);
	free(r);
}

static void
table_and_naive_model_agree_on_random_operations(void **state)
{
	(void)state;
	for (uint64_t seed = seeds_from; seed < seeds_to; seed++)
		run_race(seed, 2500);
	seed_now = UINT64_MAX;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_and_naive_model_agree_on_random_operations),
	};

	seeds_from = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	seeds_to = argc > 2 ? strtoull(argv[2], NULL, 0) : seeds_from + (argc > 1 ? 1 : 20);
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (failed != 0)
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed_now);
	return failed;
}
