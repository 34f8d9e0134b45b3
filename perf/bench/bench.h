/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench: the load generator's one object, its connections (links), and the parts that act on them.
 *
 *   link.c   sockets: connect, accept, handshake, control frames, close
 *   send.c   producers and clients: pre-encoded blocks, stamped and written; pacing
 *   recv.c   consumers, workers and clients: large reads, frame scanner, check, echo
 *   run.c    the loop, connecting and settling
 *   measure.c, search.c   one measurement; the search for the highest rate
 *   sysinfo.c, report.c   what the machine did meanwhile; the result
 *
 * Owner of everything: the main thread, the only one.
 */
#ifndef BB_PERF_BENCH_H
#define BB_PERF_BENCH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/check.h"
#include "bench/opts.h"
#include "bench/wire.h"

#define BB_RX_BYTES (256u * 1024u)    /* one read */
#define BB_BLOCK_BYTES (256u * 1024u) /* one write, unless one message is longer */
#define BB_STASH_BYTES \
	168u		    /* what a link keeps of an incomplete head; > greeting, > head + topic + stamp \
			     */
#define BB_PEEK_COMMAND 64u /* octets of a command's body that are looked at */
#define BB_ECHO_MAX (4u << 20) /* a worker with so much unsent reads no more */

enum bb_link_kind {
	BB_LINK_PRODUCER, /* PUSH, PUB */
	BB_LINK_CLIENT,	  /* REQ, DEALER */
	BB_LINK_CONSUMER, /* PULL, SUB */
	BB_LINK_WORKER,	  /* REP, ROUTER: echoes */
};

/*
 *   CLOSED -> CONNECTING -> GREETING -> HANDSHAKE -> READY -> CLOSED
 *   accepted links begin at GREETING.
 */
enum bb_link_state {
	BB_LINK_CLOSED,
	BB_LINK_CONNECTING,
	BB_LINK_GREETING,
	BB_LINK_HANDSHAKE,
	BB_LINK_READY,
};

struct bb_link {
	int fd;
	uint32_t events; /* as registered with epoll */
	uint32_t id;	 /* producer or consumer number */
	uint8_t kind;
	uint8_t state;
	uint8_t minor; /* of the peer's protocol version */

	/* Sending: message seq is next; tx_off octets of it are out already. */
	uint64_t seq;
	uint64_t seq_base;   /* seq when the pacing began */
	uint64_t seq_end;    /* no message from here on */
	uint64_t answered;   /* clients: replies that came */
	uint64_t tx_time_ns; /* stamp of a message that is partly out */
	size_t tx_off;

	/* Octets that go out before the next message: control frames; for workers, echoes. */
	uint8_t *out;
	size_t out_off, out_len, out_cap;

	/* Receiving */
	uint64_t skip; /* octets left of the frame whose head was judged */
	uint64_t last_rx_ns;
	uint32_t frame;	    /* of the message, without envelope */
	bool in_body;	    /* behind the envelope */
	bool frame_last;    /* the frame being skipped ends its message */
	bool frame_command; /* ... is a command */
	bool message_bad;   /* a length or count was wrong */
	uint16_t stash_len;
	uint8_t stamp[BB_STAMP_FULL]; /* of a message with several frames or in pieces */
	uint8_t stash[BB_STASH_BYTES];
};

/* The encoded message as it leaves, and what to compare with when it arrives. */
struct bb_layout {
	size_t stride;		/* wire octets of a message, envelope included */
	size_t stamp_at;	/* offset of the stamp in it */
	size_t topic_at;	/* offset of the topic's digits, when there are topics */
	uint32_t peek;		/* octets of a frame's body that must be in one piece */
	uint32_t body_stamp_at; /* offset of the stamp in its frame */
	bool ordered, timed;

	/* Fast path of the receiver: one-frame messages whose first octets, masked, are these. */
	bool fast;
	uint64_t expect[2], mask[2];
};

struct bb_pace {
	double ns_per_msg; /* over all producers; 0: flat out */
	uint64_t start_ns;
	uint64_t next;	/* messages that fell due */
	uint64_t visit; /* ... and whose producers were visited since */
};

struct bb_bench {
	const struct bb_opts *opts;
	int epoll_fd;
	int listen_fd;
	const struct bb_addr *listen_addr; /* NULL: not bound */
	uint64_t now_ns;

	struct bb_link *links; /* in.count, then out.count */
	uint32_t link_count;
	uint32_t ready_count;
	uint32_t half_open;   /* connecting or in the handshake */
	uint32_t next_open;   /* next link to connect */
	uint32_t next_accept; /* next link to give to an accepted connection */
	uint32_t closed_early;
	uint64_t retry_ns;    /* no connect before */
	uint64_t quiet_ns;    /* draining ends when nothing came for so long */
	uint64_t progress_ns; /* when the count of received messages last rose */
	uint64_t progress_msgs;
	uint64_t *sent; /* whole messages per producer, filled when asked for */

	struct bb_layout layout;
	uint8_t *block; /* block_msgs messages, all but stamp and topic written once */
	uint32_t block_msgs;
	uint8_t *rx;

	bool sending; /* producers may begin new messages */
	struct bb_pace pace;

	uint64_t stall_end_ns;
	uint64_t meter_ns; /* consumers read by ration: time of the last one */
	double meter_msgs; /* ration left */
	bool metered;
	uint32_t meter_next;
	uint64_t heartbeat_next_ns;
	uint32_t heartbeat_link;
	uint64_t silent; /* heartbeats that found no traffic for three intervals */

	struct bb_check check;
	struct bb_check worker_check; /* order of requests per pair of client and worker */
	char error[256];	      /* first reason why the run failed; empty: none */
};

/* One measurement. */
struct bb_result {
	double window_s;
	uint64_t window_msgs; /* received and checked in the window */
	double rate;	      /* offered; 0 flat out */
	uint64_t sent, expected, received, lost, dup, disorder, bad, foreign, unwanted;
	double broker_cpu_s; /* in the window; negative: not measured */
	double own_cpu_s;
	double other_cpu_s; /* of everybody but broker and us: what disturbs; negative: not known */
	double steal;	    /* share of all CPU time, 0..1 */
	bool timed;
	bool interrupted;
	bool drained; /* all that was expected came before the quiet time */
	struct bb_hist latency;
};

extern volatile sig_atomic_t bb_interrupted;

/* link.c. All return 0 or negative errno with bench->error set, unless said otherwise. */
int bb_link_listen(struct bb_bench *b);
/* An ipc path goes with its listener. */
void bb_link_unlisten(struct bb_bench *b);
/* Begin connections as far as the bound on half-open ones allows. */
int bb_link_open_some(struct bb_bench *b);
void bb_link_accept_some(struct bb_bench *b);
void bb_link_on_connected(struct bb_bench *b, struct bb_link *l);
/* Greeting and READY: takes octets from p, returns how many or negative errno; done when state is READY. */
int bb_link_handshake(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n);
void bb_link_events(struct bb_bench *b, struct bb_link *l, uint32_t events);
/* Send octets now or keep them in the link's out buffer. Negative errno when the link must close. */
int bb_link_put(struct bb_bench *b, struct bb_link *l, const void *p, size_t n);
/* 1 when the out buffer is empty now, 0 when not, negative errno. */
int bb_link_flush(struct bb_link *l);
/* Says why on the first failure of the run. */
void bb_link_close(struct bb_bench *b, struct bb_link *l, const char *why);
void bb_link_ping(struct bb_bench *b, struct bb_link *l);

/* send.c */
int bb_send_init(struct bb_bench *b);
/* Write what may go now; arms or disarms the link's writable event. */
void bb_send_link(struct bb_bench *b, struct bb_link *l);
/* Offer the messages that are due now to their producers; returns when the next is due, BB_NEVER flat out. */
uint64_t bb_send_paced(struct bb_bench *b);
void bb_send_pace(struct bb_bench *b, double rate);
/* One probe per topic and publisher, as far as sockets take them. */
void bb_send_probes(struct bb_bench *b);

/* recv.c */
/* One read and all that follows from it. Returns octets read, 0 when there was nothing. */
size_t bb_recv_link(struct bb_bench *b, struct bb_link *l, size_t bytes_max);
/* Judge n octets at p as if they had been read. Returns octets taken, or negative errno. */
int64_t bb_recv_scan(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n);

/* run.c */
int bb_bench_init(struct bb_bench *b, const struct bb_opts *o);
void bb_bench_fini(struct bb_bench *b);
int bb_bench_connect(struct bb_bench *b);
int bb_bench_settle(struct bb_bench *b);
/* One round of the loop; sleeps until until_ns at most, not at all when spinning. */
void bb_bench_turn(struct bb_bench *b, uint64_t until_ns);
/* Rounds for so long, or until the run is over. */
void bb_bench_pass(struct bb_bench *b, uint64_t ns);
/* Interrupted, failed, or nobody left to talk to. */
bool bb_bench_over(const struct bb_bench *b);
/* The check whose messages are the result: replies if we are the clients, else what consumers or workers saw.
 */
struct bb_check *bb_bench_check(struct bb_bench *b);
/* Keep the first reason. */
void bb_bench_fail(struct bb_bench *b, const char *fmt, ...) BB_PRINTF(2, 3);
uint64_t bb_bench_now(void);

/* measure.c */
int bb_bench_measure(
	struct bb_bench *b, double rate, uint64_t warmup_ns, uint64_t measure_ns, struct bb_result *ret);
/* Receiving role: measure from the first message on. */
int bb_bench_receive(struct bb_bench *b, struct bb_result *ret);

/* search.c: the highest rate whose loss stays at or below opts->max_loss, then a measurement at that rate. */
int bb_bench_search(struct bb_bench *b, struct bb_result *ret);

/* sysinfo.c */
/* User and system seconds of all threads of these processes since their start; negative if one cannot be
 * read. */
double bb_sys_cpu_s(const int *pids, uint32_t count);
double bb_sys_own_cpu_s(void);
struct bb_sys_steal {
	uint64_t steal, busy, total; /* ticks of all CPUs; busy: neither idle nor stolen */
};
void bb_sys_steal_read(struct bb_sys_steal *s);
/* Seconds of CPU time that the machine spent between two readings. */
double bb_sys_busy_s(const struct bb_sys_steal *from, const struct bb_sys_steal *to);
double bb_sys_steal_share(const struct bb_sys_steal *from, const struct bb_sys_steal *to);
void bb_sys_cpu_name(char *out, size_t n);

/* report.c */
void bb_report_header(const struct bb_opts *o);
void bb_report_table(const struct bb_bench *b, const struct bb_result *r);
int bb_report_json(const struct bb_bench *b, const struct bb_result *r);
/* True if nothing was lost that may not be, and nothing came double, late, damaged or unasked. */
bool bb_report_clean(const struct bb_bench *b, const struct bb_result *r);

#endif
