/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_cases: scripted conformance of the TCP/IP stack. Each case runs in both families, from four initial
 * sequence numbers, with and without checksum offload. Prints `tcp case NN v4|v6 ok|FAIL name`.
 *
 *   tcp_cases [NN ...]    only these; TCP_CASES_PCAP=DIR: write the packets of failures there
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static const struct test_case *const tables[] = { cases_open, cases_data, cases_close, cases_window,
	cases_time, cases_loss, cases_attack, cases_net };

static bool
run_one(const struct test_case *c, bool v6, uint32_t isn, bool offload, uint64_t seed)
{
	struct t *t = calloc(1, sizeof(*t));
	bool ok = false;

	t->v6 = v6;
	t->isn = isn;
	t->name = c->name;
	t->offloads = offload ? BB_NET_OFFLOAD_IP4_CSUM | BB_NET_OFFLOAD_TCP_CSUM : 0;
	bb_rand_init(&t->rand, seed);
	t->peer_isn = isn == 0 ? 0 : isn + (uint32_t)bb_rand_below(&t->rand, 3) - 1;
	if (c->conf != NULL)
		c->conf(&t->conf);
	if (setjmp(t->fail) == 0) {
		start(t);
		c->run(t);
		struct bb_net_usage u;
		bb_net_usage(t->net, &u);
		stop(t);
		CHECK_EQ(t->buffers, 0);
		CHECK_EQ(t->mem.used_bytes, 0);
		ok = true;
	}
	/* After a failure the instance is left as it is: its state is suspect. */
	free(t);
	return ok;
}

static bool
run_family(const struct test_case *c, bool v6)
{
	const uint32_t isns[4] = { 0, 0x7ffffffb, 0xfffffffb, 0x3c6ef372 };

	for (int i = 0; i < 4; i++)
		for (int off = 0; off < 2; off++)
			if (!run_one(c, v6, isns[i], off, (uint64_t)(c->nr * 16 + i * 2 + off)))
				return false;
	return true;
}

static bool
wanted(int nr, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (atoi(argv[i]) == nr)
			return true;
	return argc < 2;
}

int
main(int argc, char **argv)
{
	int ran = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t k = 0; k < sizeof(tables) / sizeof(tables[0]); k++) {
		for (const struct test_case *c = tables[k]; c->name != NULL; c++) {
			if (!wanted(c->nr, argc, argv))
				continue;
			for (int v6 = 0; v6 < 2; v6++) {
				const bool ok = run_family(c, v6);
				printf("tcp case %02d %s %s %s\n", c->nr, v6 ? "v6" : "v4",
					ok ? "ok" : "FAIL", c->name);
				ran++;
				failed += !ok;
			}
		}
	}
	printf("%d passed, %d failed\n", ran - failed, failed);
	return failed != 0 || ran == 0;
}
