/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_sim: seeded simulation of two stacks, see sim.h.
 *
 *   tcp_sim [--seeds N] [--first N]   run N scenarios, 300 unless said otherwise
 *   tcp_sim --seed N                  run one and say what it does; TCP_SIM_TRACE=1: each packet
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

void sim_random(struct sim *s);

static bool
run(uint64_t seed, bool verbose, uint64_t *ret_hash)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, seed);
	s->verbose = verbose && getenv("TCP_SIM_TRACE") != NULL;
	sim_random(s);
	bool ok = sim_run(s);
	*ret_hash = s->hash;
	if (verbose) {
		printf("seed %" PRIu64 ": %s, %u ends, %" PRIu64
		       " packets, %.3f s of virtual time, hash %016" PRIx64 "\n",
			seed, s->v6 ? "v6" : "v4", s->end_count, s->packets,
			(double)(s->now_ns - 1000 * BB_SEC) / 1e9 - 1200, s->hash);
		for (int i = 0; i < 2; i++)
			for (int k = 0; k < BB_NET_CTR_COUNT; k++)
				if (bb_net_counter(s->node[i].net, (enum bb_net_ctr)k) != 0)
					printf("  node %d %-24s %" PRIu64 "\n", i, bb_net_ctr_info[k].name,
						bb_net_counter(s->node[i].net, (enum bb_net_ctr)k));
	}
	sim_fini(s);
	ok = ok && !s->failed;
	free(s);
	return ok;
}

int
main(int argc, char **argv)
{
	uint64_t first = 1, count = 300, one = 0, hash, again;
	int failed = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seeds") == 0)
			count = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--first") == 0)
			first = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			one = strtoull(argv[i + 1], NULL, 10);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (one != 0)
		return !run(one, true, &hash);
	if (getenv("BB_TEST_LONG") != NULL && argc < 2)
		count = 10000;
	for (uint64_t seed = first; seed < first + count; seed++) {
		failed += !run(seed, false, &hash);
		if (seed % 50 != 0)
			continue;
		/* Same seed, same packets at the same times. */
		run(seed, false, &again);
		if (hash != again) {
			printf("  seed %" PRIu64 " is not repeatable\n", seed);
			failed++;
		}
	}
	printf("%" PRIu64 " seeds, %d failed\n", count, failed);
	return failed != 0;
}
