/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/time.h"
#include "conf/value.h"

/* Incomplete messages together may hold a quarter of the memory, so none may be larger. */
#define MESSAGE_SHARE 4

struct place {
	const struct bb_conf_address *address;
	uint32_t endpoint, side;
};

/* Row of a side's option. */
static size_t
side_row(const char *path)
{
	size_t count;
	const struct bb_conf_option *options = bb_conf_section_options(BB_CONF_SECTION_SIDE, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(options[i].path, path) == 0)
			return i;
	BB_ASSERT(!"no such option");
	return 0;
}

static int
line_or(int line, int other)
{
	return line != 0 ? line : other;
}

static void
check_policy(struct bb_conf_report *report, const struct bb_conf_side *side,
	const struct bb_conf_side_info *info, const char *where, const int *line_of)
{
	const int line = line_of[side_row("when_full")];

	if (!(info->when_full & BB_BIT(side->when_full)))
		bb_conf_report(report, line, "%s: when_full: %s cannot be had here: %s always %s", where,
			bb_conf_when_full_names[side->when_full], info->name,
			bb_conf_when_full_names[__builtin_ctz(info->when_full)]);
}

static void
check_times(
	struct bb_conf_report *report, const struct bb_conf_side *side, const char *where, const int *line_of)
{
	char a[32], b[32];

	if (side->reconnect_min_ns > side->reconnect_max_ns)
		bb_conf_report(report,
			line_or(line_of[side_row("reconnect.min")], line_of[side_row("reconnect.max")]),
			"%s: reconnect.min %s is above reconnect.max %s: lower min or raise max", where,
			bb_conf_duration_format(side->reconnect_min_ns, a),
			bb_conf_duration_format(side->reconnect_max_ns, b));
	if (side->heartbeat_interval_ns != 0 && side->heartbeat_timeout_ns == 0)
		bb_conf_report(report, line_of[side_row("heartbeat.timeout")],
			"%s: heartbeat.timeout 0 would close every connection: write a duration, or "
			"interval: 0",
			where);
	if (side->heartbeat_ttl_ns % (100 * BB_MSEC) != 0)
		bb_conf_report(report, line_of[side_row("heartbeat.ttl")],
			"%s: heartbeat.ttl %s is too fine: the protocol has steps of 100ms", where,
			bb_conf_duration_format(side->heartbeat_ttl_ns, a));
	if (side->keepalive_idle_ns % BB_SEC != 0)
		bb_conf_report(report, line_of[side_row("keepalive.idle")],
			"%s: keepalive.idle %s is too fine: TCP counts whole seconds", where,
			bb_conf_duration_format(side->keepalive_idle_ns, a));
	if (side->keepalive_interval_ns % BB_SEC != 0)
		bb_conf_report(report, line_of[side_row("keepalive.interval")],
			"%s: keepalive.interval %s is too fine: TCP counts whole seconds", where,
			bb_conf_duration_format(side->keepalive_interval_ns, a));
}

void
bb_conf_check_side(struct bb_conf_report *report, const struct bb_conf_side *side,
	const struct bb_conf_side_info *info, const char *where, const int *line_of)
{
	if (side->bind_count + side->connect_count == 0)
		bb_conf_report(report, side->line,
			"%s have no address: add bind: [\"tcp://127.0.0.1:PORT\"] or connect: [...]", where);
	/* Connections are known by their address: two to one place could not be told apart. */
	for (uint32_t i = 0; i < side->connect_count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (bb_conf_address_compare(&side->connects[i], &side->connects[k]) == 0)
				bb_conf_report(report, side->connects[i].line,
					"%s: connect lists %s twice: keep one", where,
					side->connects[i].text);
	check_policy(report, side, info, where, line_of);
	check_times(report, side, where, line_of);
}

static int
name_compare(const void *a, const void *b)
{
	const struct bb_conf_endpoint *x = *(const struct bb_conf_endpoint *const *)a;
	const struct bb_conf_endpoint *y = *(const struct bb_conf_endpoint *const *)b;
	const int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int
check_names(struct bb_conf_report *report, const struct bb_conf *conf)
{
	if (conf->endpoint_count == 0)
		return 0;
	const struct bb_conf_endpoint **sorted = calloc(
		conf->endpoint_count, sizeof(struct bb_conf_endpoint *));
	if (sorted == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->endpoint_count; i++)
		sorted[i] = &conf->endpoints[i];
	qsort(sorted, conf->endpoint_count, sizeof(struct bb_conf_endpoint *), name_compare);
	for (uint32_t i = 1; i < conf->endpoint_count; i++)
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			bb_conf_report(report, sorted[i]->line,
				"endpoint %s: the name is taken by the endpoint on line %d: choose another",
				sorted[i]->name, sorted[i - 1]->line);
	free(sorted);
	return 0;
}

static int
place_compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	const int order = bb_conf_address_compare(x->address, y->address);

	if (order != 0)
		return order;
	return (x->address->line > y->address->line) - (x->address->line < y->address->line);
}

/* The peer's socket type tells the side, so the two sides of one endpoint may meet at one address. */
static bool
may_share(const struct place *a, const struct place *b)
{
	return a->endpoint == b->endpoint && a->side != b->side &&
	       bb_conf_address_compare(a->address, b->address) == 0;
}

static void
report_taken(struct bb_conf_report *report, const struct bb_conf *conf, const struct place *taken,
	const struct place *by)
{
	const struct bb_conf_endpoint *e = &conf->endpoints[taken->endpoint],
				      *other = &conf->endpoints[by->endpoint];

	bb_conf_report(report, taken->address->line,
		"endpoint %s, %s: %s is taken by %s of endpoint %s on line %d, %s: choose another port",
		e->name, bb_conf_patterns[e->pattern].sides[taken->side].name, taken->address->text,
		bb_conf_patterns[other->pattern].sides[by->side].name, other->name, by->address->line,
		by->address->text);
}

/*
 * Sorted places have equal addresses side by side, and what covers a whole family at the beginning of its
 * port's run: no more than three of them, so each place is compared with few others.
 */
static void
check_sorted(
	struct bb_conf_report *report, const struct bb_conf *conf, const struct place *places, size_t count)
{
	size_t wide[3], wide_count = 0;

	for (size_t i = 0; i < count && !bb_conf_report_full(report); i++) {
		if (i > 0 && places[i].address->port != places[i - 1].address->port)
			wide_count = 0;
		if (i > 0 && bb_conf_address_compare(places[i - 1].address, places[i].address) == 0) {
			const bool third = i > 1 && bb_conf_address_compare(
							    places[i - 2].address, places[i].address) == 0;
			if (third || !may_share(&places[i - 1], &places[i]))
				report_taken(report, conf, &places[i], &places[i - 1]);
			continue;
		}
		for (size_t k = 0; k < wide_count; k++)
			if (bb_conf_address_covers(places[wide[k]].address, places[i].address)) {
				report_taken(report, conf, &places[i], &places[wide[k]]);
				break;
			}
		if (bb_conf_address_wide(places[i].address) && wide_count < BB_ARRAY_LEN(wide))
			wide[wide_count++] = i;
	}
}

static int
check_addresses(struct bb_conf_report *report, const struct bb_conf *conf)
{
	size_t count = 0, n = 0;

	for (uint32_t i = 0; i < conf->endpoint_count; i++)
		count += conf->endpoints[i].sides[0].bind_count + conf->endpoints[i].sides[1].bind_count;
	if (count == 0)
		return 0;
	struct place *places = calloc(count, sizeof(*places));
	if (places == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->endpoint_count; i++)
		for (uint32_t side = 0; side < 2; side++)
			for (uint32_t k = 0; k < conf->endpoints[i].sides[side].bind_count; k++)
				places[n++] = (struct place){
					.address = &conf->endpoints[i].sides[side].binds[k],
					.endpoint = i,
					.side = side,
				};
	qsort(places, count, sizeof(*places), place_compare);
	check_sorted(report, conf, places, count);
	free(places);
	return 0;
}

static void
check_cores(struct bb_conf_report *report, const struct bb_conf_dataplane *plane)
{
	const struct bb_conf_cpus *io = &plane->io_cpus, *router = &plane->router_cpus;
	const int line = plane->line;
	uint32_t both = 0;

	if (io->count > BB_CORES_MAX || router->count > BB_CORES_MAX)
		bb_conf_report(report, line, "dataplane: cores lists %u CPUs: at most %u for each role",
			io->count > router->count ? io->count : router->count, BB_CORES_MAX);
	for (size_t i = 0; i < BB_ARRAY_LEN(io->bits); i++)
		both += (uint32_t)__builtin_popcountll(io->bits[i] & router->bits[i]);
	if (io->count == 0 || router->count == 0)
		return;
	const bool same = both == io->count && both == router->count;
	/* Asked for in so many words, split roles may share CPUs: the data plane lets them take turns, and warns. */
	if (plane->roles == BB_CONF_ROLES_JOINED && !same)
		bb_conf_report(report, line,
			"dataplane: roles: joined needs the same CPUs in cores.io and cores.router: give one "
			"of them only");
	else if (plane->roles == BB_CONF_ROLES_AUTO && both != 0 && !same)
		bb_conf_report(report, line,
			"dataplane: cores.io and cores.router overlap in %u CPUs: make them the same or "
			"disjoint",
			both);
}

static void
check_message_sizes(struct bb_conf_report *report, struct bb_conf *conf)
{
	const uint64_t most = conf->dataplane.memory_bytes / MESSAGE_SHARE;
	const uint64_t given = UINT64_C(1) << side_row("max_message");

	for (uint32_t i = 0; i < conf->endpoint_count; i++)
		for (unsigned k = 0; k < 2; k++) {
			struct bb_conf_endpoint *e = &conf->endpoints[i];
			struct bb_conf_side *side = &e->sides[k];
			char a[32], b[32];
			if (side->max_message_bytes <= most)
				continue;
			if (side->set & given)
				bb_conf_report(report, side->line,
					"endpoint %s, %s: max_message %s is above a quarter of "
					"dataplane.memory: at most %s",
					e->name, bb_conf_patterns[e->pattern].sides[k].name,
					bb_conf_size_format(side->max_message_bytes, a),
					bb_conf_size_format(most, b));
			else
				side->max_message_bytes = most;
		}
}

int
bb_conf_check(struct bb_conf_report *report, struct bb_conf *conf)
{
	check_cores(report, &conf->dataplane);
	check_message_sizes(report, conf);
	const int r = check_names(report, conf);
	return r < 0 ? r : check_addresses(report, conf);
}
