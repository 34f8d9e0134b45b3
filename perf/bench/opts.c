/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/opts.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/time.h"
#include "bench/check.h"

#define SIZE_MAX_BYTES (64u << 20)
#define CONNECTIONS_MAX 65536u
#define PRODUCERS_EXPECTED 1024u /* by a receiving role that was not told */

enum {
	OPT_PATTERN = 256,
	OPT_IN,
	OPT_OUT,
	OPT_DIRECT,
	OPT_ROLE,
	OPT_CONNECT,
	OPT_BIND,
	OPT_PRODUCERS,
	OPT_CONSUMERS,
	OPT_CONNECTIONS,
	OPT_SIZE,
	OPT_FRAMES,
	OPT_TOPIC_PREFIX,
	OPT_TOPICS,
	OPT_SUBSCRIBE,
	OPT_RUN_ID,
	OPT_RATE,
	OPT_WINDOW,
	OPT_WARMUP,
	OPT_SECONDS,
	OPT_MESSAGES,
	OPT_MAX_LOSS,
	OPT_HEARTBEAT,
	OPT_STALL,
	OPT_READ_RATE,
	OPT_SNDBUF,
	OPT_RCVBUF,
	OPT_CONNECT_WAIT,
	OPT_SETTLE,
	OPT_QUIET,
	OPT_CPU,
	OPT_SPIN,
	OPT_NO_SPIN,
	OPT_JSON,
	OPT_SYSTEM,
	OPT_BROKER_PID,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "pattern", required_argument, NULL, OPT_PATTERN },
	{ "in", required_argument, NULL, OPT_IN },
	{ "out", required_argument, NULL, OPT_OUT },
	{ "direct", required_argument, NULL, OPT_DIRECT },
	{ "role", required_argument, NULL, OPT_ROLE },
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "bind", required_argument, NULL, OPT_BIND },
	{ "producers", required_argument, NULL, OPT_PRODUCERS },
	{ "consumers", required_argument, NULL, OPT_CONSUMERS },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "frames", required_argument, NULL, OPT_FRAMES },
	{ "topic-prefix", required_argument, NULL, OPT_TOPIC_PREFIX },
	{ "topics", required_argument, NULL, OPT_TOPICS },
	{ "subscribe", required_argument, NULL, OPT_SUBSCRIBE },
	{ "run-id", required_argument, NULL, OPT_RUN_ID },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "messages", required_argument, NULL, OPT_MESSAGES },
	{ "max-loss", required_argument, NULL, OPT_MAX_LOSS },
	{ "heartbeat", required_argument, NULL, OPT_HEARTBEAT },
	{ "stall", required_argument, NULL, OPT_STALL },
	{ "read-rate", required_argument, NULL, OPT_READ_RATE },
	{ "sndbuf", required_argument, NULL, OPT_SNDBUF },
	{ "rcvbuf", required_argument, NULL, OPT_RCVBUF },
	{ "connect-wait", required_argument, NULL, OPT_CONNECT_WAIT },
	{ "settle", required_argument, NULL, OPT_SETTLE },
	{ "quiet", required_argument, NULL, OPT_QUIET },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "spin", no_argument, NULL, OPT_SPIN },
	{ "no-spin", no_argument, NULL, OPT_NO_SPIN },
	{ "json", required_argument, NULL, OPT_JSON },
	{ "system", required_argument, NULL, OPT_SYSTEM },
	{ "broker-pid", required_argument, NULL, OPT_BROKER_PID },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* What a role is: the pattern, the side it stands on, and its socket type. */
static const struct role {
	const char *name;
	const char *type;
	enum bb_pattern pattern;
	bool sends;
} roles[] = {
	{ "push", "PUSH", BB_PIPELINE, true },
	{ "pull", "PULL", BB_PIPELINE, false },
	{ "pub", "PUB", BB_PUBSUB, true },
	{ "sub", "SUB", BB_PUBSUB, false },
	{ "dealer", "DEALER", BB_REQREP, true },
	{ "req", "REQ", BB_REQREP, true },
	{ "router", "ROUTER", BB_REQREP, false },
	{ "rep", "REP", BB_REQREP, false },
};

/* Choices as typed, before they are put together. */
struct raw {
	const struct role *role;
	bool pattern_set, window_set, producers_set;
	int spin; /* -1: by the other options */
	uint32_t connections;
};

static int wrong(const char *fmt, ...) BB_PRINTF(1, 2);

/* Returns what bb_opts_parse returns for wrong use. */
static int
wrong(const char *fmt, ...)
{
	va_list ap;

	fputs("busbar-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (see --help)\n", stderr);
	return 3;
}

const char *
bb_pattern_name(enum bb_pattern p)
{
	static const char *const names[] = { "pipeline", "pubsub", "reqrep" };

	return names[p];
}

static int
number(const char *option, const char *text, double min, double max, double *ret)
{
	char *end;

	errno = 0;
	const double x = strtod(text, &end);
	if (end == text || *end != '\0' || errno != 0 || !(x >= min && x <= max))
		return wrong("%s: '%s' is not a number from %.0f to %.0f", option, text, min, max);
	*ret = x;
	return 0;
}

static int
count(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	const unsigned long long x = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || *text == '-' || x < min || x > max)
		return wrong("%s: '%s' is not a whole number from %llu to %llu", option, text,
			(unsigned long long)min, (unsigned long long)max);
	*ret = x;
	return 0;
}

static int
count32(const char *option, const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t x = 0;
	const int rc = count(option, text, min, max, &x);

	if (rc == 0)
		*ret = (uint32_t)x;
	return rc;
}

static int
buffer(const char *option, const char *text, int *ret)
{
	uint32_t x = 0;
	const int rc = count32(option, text, 0, INT32_MAX, &x);

	if (rc == 0)
		*ret = (int)x;
	return rc;
}

static int
seconds(const char *option, const char *text, uint64_t *ret)
{
	double x = 0;
	const int rc = number(option, text, 0, 1e6, &x);

	if (rc == 0)
		*ret = (uint64_t)(x * 1e9);
	return rc;
}

static int
address_tcp(const char *option, const char *text, struct bb_addr *ret)
{
	char host[sizeof(ret->text)];
	const char *port = strrchr(text, ':');
	struct addrinfo *found;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };

	if (port == NULL || port == text)
		return wrong("%s: 'tcp://%s' has no port", option, text);
	snprintf(host, sizeof(host), "%.*s", (int)(port - text), text);
	char *name = host;
	if (*name == '[' && name[strlen(name) - 1] == ']') {
		name[strlen(name) - 1] = '\0';
		name++;
	}
	const int rc = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, port + 1, &hints, &found);
	if (rc != 0)
		return wrong("%s: 'tcp://%s': %s", option, text, gai_strerror(rc));
	memcpy(&ret->storage, found->ai_addr, found->ai_addrlen);
	ret->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static int
address(const char *option, const char *text, struct bb_addr *ret)
{
	if (strlen(text) >= sizeof(ret->text))
		return wrong("%s: address is longer than %zu octets", option, sizeof(ret->text) - 1);
	strcpy(ret->text, text);
	if (strncmp(text, "tcp://", 6) == 0)
		return address_tcp(option, text + 6, ret);
	if (strncmp(text, "ipc://", 6) != 0 || text[6] == '\0')
		return wrong("%s: '%s' is neither tcp://HOST:PORT nor ipc://PATH", option, text);
	if (strlen(text + 6) >= sizeof(ret->un.sun_path))
		return wrong("%s: path is longer than %zu octets", option, sizeof(ret->un.sun_path) - 1);
	ret->un.sun_family = AF_UNIX;
	strcpy(ret->un.sun_path, text + 6);
	ret->len = sizeof(ret->un);
	return 0;
}

static int
pids(struct bb_opts *o, const char *text)
{
	char *end;

	for (;;) {
		errno = 0;
		const long pid = strtol(text, &end, 10);
		if (end == text || errno != 0 || pid <= 0 || pid > INT32_MAX || (*end != ',' && *end != '\0'))
			return wrong("--broker-pid: '%s' is not a list of process ids", text);
		if (o->broker_pid_count == BB_BROKER_PIDS_MAX)
			return wrong("--broker-pid: more than %u processes", BB_BROKER_PIDS_MAX);
		o->broker_pids[o->broker_pid_count++] = (int)pid;
		if (*end == '\0')
			return 0;
		text = end + 1;
	}
}

static int
pattern(const char *text, enum bb_pattern *ret)
{
	for (enum bb_pattern p = BB_PIPELINE; p <= BB_REQREP; p++) {
		if (strcmp(text, bb_pattern_name(p)) == 0) {
			*ret = p;
			return 0;
		}
	}
	return wrong("--pattern: '%s' is none of pipeline, pubsub, reqrep", text);
}

static int
subscribe(const char *text, enum bb_subscribe *ret)
{
	static const char *const names[] = { "prefix", "all", "one" };

	for (uint32_t i = 0; i < BB_ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum bb_subscribe)i;
			return 0;
		}
	}
	return wrong("--subscribe: '%s' is none of prefix, all, one", text);
}

static int
role(const char *text, const struct role **ret)
{
	for (uint32_t i = 0; i < BB_ARRAY_LEN(roles); i++) {
		if (strcmp(text, roles[i].name) == 0) {
			*ret = &roles[i];
			return 0;
		}
	}
	return wrong("--role: '%s' is none of push, pull, pub, sub, dealer, router, req, rep", text);
}

static int
topic_prefix(struct bb_opts *o, const char *text)
{
	if (strlen(text) > BB_TOPIC_PREFIX_MAX)
		return wrong("--topic-prefix: longer than %u octets", BB_TOPIC_PREFIX_MAX);
	strcpy(o->topic_prefix, text);
	return 0;
}

/* Options that say who and where. */
static int
take_place(struct bb_opts *o, struct raw *r, int opt, const char *arg)
{
	switch (opt) {
	case OPT_PATTERN:
		r->pattern_set = true;
		return pattern(arg, &o->pattern);
	case OPT_IN:
		o->in.present = true;
		return address("--in", arg, &o->in.addr);
	case OPT_OUT:
		o->out.present = true;
		return address("--out", arg, &o->out.addr);
	case OPT_DIRECT:
		o->direct = true;
		o->in.present = o->out.present = o->out.bind = true;
		o->system = "direct";
		return address("--direct", arg, &o->in.addr);
	case OPT_ROLE:
		o->one_sided = true;
		return role(arg, &r->role);
	case OPT_CONNECT:
		return address("--connect", arg, &o->in.addr);
	case OPT_BIND:
		o->in.bind = true;
		return address("--bind", arg, &o->in.addr);
	case OPT_PRODUCERS:
		r->producers_set = true;
		return count32("--producers", arg, 1, CONNECTIONS_MAX, &o->in.count);
	case OPT_CONSUMERS:
		return count32("--consumers", arg, 1, CONNECTIONS_MAX, &o->out.count);
	case OPT_CONNECTIONS:
		return count32("--connections", arg, 1, CONNECTIONS_MAX, &r->connections);
	default:
		return -1;
	}
}

/* Options that say what is sent and how fast. */
static int
take_load(struct bb_opts *o, struct raw *r, int opt, const char *arg)
{
	switch (opt) {
	case OPT_SIZE:
		return count("--size", arg, 0, SIZE_MAX_BYTES, &o->size);
	case OPT_FRAMES:
		return count32("--frames", arg, 1, 65536, &o->frames);
	case OPT_TOPIC_PREFIX:
		return topic_prefix(o, arg);
	case OPT_TOPICS:
		return count32("--topics", arg, 0, 1u << 24, &o->topics);
	case OPT_SUBSCRIBE:
		return subscribe(arg, &o->subscribe);
	case OPT_RUN_ID:
		return count32("--run-id", arg, 1, UINT32_MAX, &o->run_id);
	case OPT_RATE:
		return number("--rate", arg, 0, 1e9, &o->rate);
	case OPT_WINDOW:
		r->window_set = true;
		return count32("--window", arg, 1, 1u << 20, &o->window);
	case OPT_WARMUP:
		return seconds("--warmup", arg, &o->warmup_ns);
	case OPT_SECONDS:
		return seconds("--seconds", arg, &o->measure_ns);
	case OPT_MESSAGES:
		return count("--messages", arg, 1, UINT64_MAX >> 1, &o->messages);
	case OPT_MAX_LOSS:
		return number("--max-loss", arg, 0, 1, &o->max_loss);
	case OPT_HEARTBEAT:
		return seconds("--heartbeat", arg, &o->heartbeat_ns);
	case OPT_STALL:
		return seconds("--stall", arg, &o->stall_ns);
	case OPT_READ_RATE:
		return number("--read-rate", arg, 0, 1e9, &o->read_rate);
	case OPT_SNDBUF:
		return buffer("--sndbuf", arg, &o->sndbuf);
	case OPT_RCVBUF:
		return buffer("--rcvbuf", arg, &o->rcvbuf);
	default:
		return -1;
	}
}

/* The rest: the course of the run and its report. */
static int
take_course(struct bb_opts *o, struct raw *r, int opt, const char *arg)
{
	uint32_t cpu = 0;
	int rc;

	switch (opt) {
	case OPT_CONNECT_WAIT:
		return seconds("--connect-wait", arg, &o->connect_wait_ns);
	case OPT_SETTLE:
		return seconds("--settle", arg, &o->settle_ns);
	case OPT_QUIET:
		return seconds("--quiet", arg, &o->quiet_ns);
	case OPT_CPU:
		rc = count32("--cpu", arg, 0, (uint32_t)sysconf(_SC_NPROCESSORS_CONF) - 1, &cpu);
		if (rc == 0)
			o->cpu = (int)cpu;
		return rc;
	case OPT_SPIN:
	case OPT_NO_SPIN:
		r->spin = opt == OPT_SPIN;
		return 0;
	case OPT_JSON:
		o->json = arg;
		return 0;
	case OPT_SYSTEM:
		o->system = arg;
		return 0;
	case OPT_BROKER_PID:
		return pids(o, arg);
	default:
		return -1;
	}
}

static int
join_role(struct bb_opts *o, const struct raw *r)
{
	struct bb_side *mine = r->role->sends ? &o->in : &o->out;

	if (o->in.present || o->out.present)
		return wrong("--role takes --connect or --bind, not --in, --out or --direct");
	if (r->pattern_set && o->pattern != r->role->pattern)
		return wrong("--role %s belongs to the pattern %s", r->role->name,
			bb_pattern_name(r->role->pattern));
	if (o->in.addr.text[0] == '\0')
		return wrong("--role needs --connect ADDR or --bind ADDR");
	if (strcmp(r->role->name, "req") == 0 && o->window != 1)
		return wrong("--role req has one outstanding request; --window needs --role dealer");

	o->pattern = r->role->pattern;
	if (!r->role->sends) {
		o->out = (struct bb_side){ .bind = o->in.bind, .addr = o->in.addr };
		o->in.bind = false;
		if (!r->producers_set)
			o->in.count = PRODUCERS_EXPECTED;
	}
	mine->present = true;
	mine->count = r->connections;
	mine->type = r->role->type;
	return 0;
}

static int
join_broker(struct bb_opts *o, const struct raw *r)
{
	static const char *const in_types[] = { "PUSH", "PUB", "REQ" };
	static const char *const out_types[] = { "PULL", "SUB", "REP" };

	if (!r->pattern_set)
		return wrong("--pattern or --role is missing");
	if (!o->in.present || !o->out.present)
		return wrong("%s is missing", o->in.present ? "--out" : "--in");
	if (r->connections != 1)
		return wrong("--connections belongs to --role; use --producers and --consumers");
	if (o->direct) {
		if (o->out.count != 1 && o->out.count != o->in.count)
			return wrong(
				"--direct: there is one consumer for each producer; leave out --consumers");
		o->out.count = o->in.count;
		o->out.addr = o->in.addr;
	}
	o->in.type = o->pattern == BB_REQREP && o->window > 1 ? "DEALER" : in_types[o->pattern];
	o->out.type = o->pattern == BB_REQREP && o->direct && o->window > 1 ? "ROUTER"
									    : out_types[o->pattern];
	return 0;
}

/* What only shows when all options are known. */
static int
check_together(struct bb_opts *o, const struct raw *r)
{
	const uint32_t topic = (uint32_t)strlen(o->topic_prefix) + (o->topics > 0 ? BB_TOPIC_DIGITS : 0);

	if (topic > 0 && o->pattern != BB_PUBSUB)
		return wrong("--topics and --topic-prefix belong to pubsub");
	if (o->size < topic)
		return wrong("--size %llu does not hold the topic of %u octets", (unsigned long long)o->size,
			topic);
	if (o->subscribe != BB_SUBSCRIBE_PREFIX && o->topics == 0)
		return wrong("--subscribe all|one needs --topics");
	if (o->subscribe == BB_SUBSCRIBE_ONE && o->size < topic + BB_STAMP_ORDER)
		return wrong("--subscribe one needs --size %u or more", topic + BB_STAMP_ORDER);
	if (o->subscribe == BB_SUBSCRIBE_ONE && o->direct)
		return wrong("--subscribe one needs a broker: our publishers send everything");
	if (r->window_set && o->pattern != BB_REQREP)
		return wrong("--window belongs to reqrep");
	if (o->max_loss >= 0 && (o->pattern != BB_PUBSUB || o->one_sided || o->rate > 0 || o->messages > 0))
		return wrong("--max-loss needs --pattern pubsub without --rate and --messages");
	if (o->measure_ns == 0)
		return wrong("--seconds must be above 0");
	if (o->size * o->frames > SIZE_MAX_BYTES)
		return wrong("--size times --frames is above %u octets", SIZE_MAX_BYTES);
	if ((o->stall_ns > 0 || o->read_rate > 0) && !(o->out.present && o->pattern != BB_REQREP))
		return wrong("--stall and --read-rate need consumers or subscribers");
	o->spin = r->spin >= 0 ? r->spin : (o->cpu >= 0 || o->rate > 0) && !(o->one_sided && o->out.present);
	return 0;
}

int
bb_opts_parse(struct bb_opts *o, int argc, char **argv)
{
	struct raw r = { .spin = -1, .connections = 1 };
	int opt, rc;

	*o = (struct bb_opts){
		.in.count = 1,
		.out.count = 1,
		.size = 40,
		.frames = 1,
		.window = 1,
		.max_loss = -1,
		.warmup_ns = BB_SEC,
		.measure_ns = 5 * BB_SEC,
		.connect_wait_ns = 10 * BB_SEC,
		.settle_ns = 200 * BB_MSEC,
		.quiet_ns = BB_SEC,
		.cpu = -1,
		.system = "broker",
	};
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(bb_opts_help, stdout);
			return 1;
		}
		if (opt == OPT_VERSION) {
			printf("busbar-bench %s\n", BB_VERSION);
			return 1;
		}
		if (opt == '?')
			return wrong("%s: unknown option, or its value is missing", argv[optind - 1]);
		rc = take_place(o, &r, opt, optarg);
		if (rc < 0)
			rc = take_load(o, &r, opt, optarg);
		if (rc < 0)
			rc = take_course(o, &r, opt, optarg);
		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return wrong("'%s': not an option", argv[optind]);
	rc = o->one_sided ? join_role(o, &r) : join_broker(o, &r);
	return rc != 0 ? rc : check_together(o, &r);
}
