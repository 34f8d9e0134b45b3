/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_priv: the control block of a connection and what the modules of TCP offer each other.
 *
 *                     tcp_listen.c  SYN cache, cookies
 *                           |
 *   tcp_in.c  --segment-->  acceptable?  --> tcp_ack.c  --> tcp_rec.c (records of what is in flight)
 *       |                        |              |     \---> tcp_cc.c  (how much may be in flight)
 *       |                        v              v
 *   tcp_tw.c (TIME_WAIT)    tcp_rcv.c       tcp_txq.c (pushed memory)
 *                                               |
 *   tcp_timer.c  ------------------------->  tcp_out.c
 *
 * States of RFC 9293 3.3.2. LISTEN and, for clients that come to a listener, SYN-RECEIVED live in
 * tcp_listen.c; TIME-WAIT lives in tcp_tw.c; neither has a control block.
 *
 *   SYN_SENT --> ESTABLISHED --> FIN_WAIT_1 --> FIN_WAIT_2 --> (TIME_WAIT)
 *      |          ^       |          \--> CLOSING -------------^
 *      v          |       v
 *   SYN_RCVD -----+   CLOSE_WAIT --> LAST_ACK --> CLOSED       any --> CLOSED on RST, time-out, abort
 */
#ifndef BB_NET_TCP_PRIV_H
#define BB_NET_TCP_PRIV_H

#include "net/priv.h"
#include "net/tcp.h"

#define TH_FIN 0x01u
#define TH_SYN 0x02u
#define TH_RST 0x04u
#define TH_PSH 0x08u
#define TH_ACK 0x10u
#define TH_URG 0x20u
#define TH_ECE 0x40u
#define TH_CWR 0x80u

#define SACK_BLOCKS_MAX 4
#define WSCALE_MAX 14
#define MSS_DEFAULT4 536
#define MSS_DEFAULT6 1220
#define MSS_MIN 64 /* a peer that offers less gets this; RFC 9293 allows it to be wrong */

enum tcp_state {
	TCP_CLOSED,
	TCP_SYN_SENT,
	TCP_SYN_RCVD,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_STATE_COUNT
};

/* Flags of a control block. */
#define TF_TS BB_BIT(0)	    /* timestamps negotiated */
#define TF_SACK BB_BIT(1)   /* SACK negotiated */
#define TF_WSCALE BB_BIT(2) /* window scaling negotiated */
#define TF_ECN BB_BIT(3)    /* ECN negotiated */
#define TF_ECE BB_BIT(4)    /* tell the peer about congestion: until its CWR, or as DCTCP does */
#define TF_CWR BB_BIT(5)    /* the next new data carries CWR */
#define TF_FIN_QUEUED BB_BIT(6)
#define TF_FIN_SENT BB_BIT(7)
#define TF_FIN_RCVD BB_BIT(8)
#define TF_FIN_OOO BB_BIT(9) /* fin_seq holds where a FIN was seen behind a gap */
#define TF_ACK_NOW BB_BIT(10)
#define TF_ACK_DELAYED BB_BIT(11)
#define TF_APP_CLOSED BB_BIT(12) /* nothing is delivered any more but releases and closed */
#define TF_DIRTY BB_BIT(13)	 /* in the list of connections that may have something to send */
#define TF_EVENTS BB_BIT(14)	 /* in the list of connections that have events to deliver */
#define TF_NAGLE BB_BIT(15)
#define TF_CORK BB_BIT(16)
#define TF_TLP BB_BIT(17)	 /* a tail loss probe is out, up to tlp_end */
#define TF_TLP_REXMIT BB_BIT(18) /* and it was a retransmission */
#define TF_REORDER BB_BIT(19)	 /* RACK has seen reordering */
#define TF_CWND_LIMITED BB_BIT(20)
#define TF_WANT_ROOM BB_BIT(21)	   /* a push was cut short */
#define TF_DSACK BB_BIT(22)	   /* dsack_start, dsack_end wait to be reported */
#define TF_SYN_DUE BB_BIT(23)	   /* a SYN or SYN-ACK is to be sent */
#define TF_SWS_NOW BB_BIT(24)	   /* the override timer fired: send what fits */
#define TF_DONE BB_BIT(25)	   /* off the wire; waits for the application to close */
#define TF_FREE BB_BIT(26)	   /* closed was delivered; freed when out of the dirty list */
#define TF_RTT_SEEN BB_BIT(27)	   /* a sample since the last probe, as RFC 8985 7.3 wants */
#define TF_NEIGH BB_BIT(28)	   /* neigh and neigh_gen are set */
#define TF_DCTCP_CE BB_BIT(29)	   /* CE state of the last segment, RFC 8257 3.2 */
#define TF_DSACK_ROUND BB_BIT(30)  /* rack_dsack_round is set */
#define TF_FORCE_REXMIT BB_BIT(31) /* one retransmission regardless of the window: fast retransmit, RTO */

#define EV_CONNECTED BB_BIT(0)
#define EV_READABLE BB_BIT(1)
#define EV_RELEASED BB_BIT(2)
#define EV_ROOM BB_BIT(3)
#define EV_CLOSED BB_BIT(4)

enum tcp_timer {
	T_RTO,	 /* armed exactly while something is in flight, SYN included */
	T_PROBE, /* probe_kind says for what */
	T_DELACK,
	T_LONG, /* keepalive, or the end of an orphan in FIN_WAIT_2 */
	T_LINGER,
	T_COUNT
};

enum probe_kind {
	PROBE_TLP,     /* RFC 8985 7 */
	PROBE_REO,     /* RFC 8985 6.2 step 5 */
	PROBE_PERSIST, /* RFC 9293 3.8.6.1 */
	PROBE_SWS,     /* RFC 9293 3.8.6.2.1 (4) */
};

enum ca_state {
	CA_OPEN,
	CA_CWR,	     /* reduced because of ECN, once per round trip */
	CA_RECOVERY, /* reduced because of loss; PRR rules */
	CA_LOSS,     /* after an RTO */
};

/* State of the congestion control algorithm; which member is meant is fixed per instance. */
union cc_state {
	struct {
		uint64_t epoch_ns;	     /* 0: no epoch */
		float w_max, k, w_est, frac; /* segments, seconds, segments, bytes */
		float cwnd_prior;
	} cubic;
	struct {
		uint32_t acked_bytes, marked_bytes; /* in this observation window */
		uint32_t window_end;
		float alpha;
		uint32_t frac;
	} dctcp;
	struct {
		uint32_t frac; /* bytes acknowledged towards the next segment */
	} reno;
};

/* A connection. Owner: the instance's core. Times in ns, sizes in bytes, references are pool indices. */
struct bb_tcp {
	/* line 0: every segment in */
	struct bb_flow_key key;
	uint8_t state;
	uint8_t snd_wscale, rcv_wscale;
	uint8_t events;
	uint32_t flags;
	uint32_t rcv_nxt;
	uint32_t rcv_adv; /* right edge ever promised; data up to it is taken */
	uint32_t snd_una, snd_nxt;
	uint32_t snd_wnd; /* scaled */

	/* line 1: receiving */
	uint32_t snd_wl1, snd_wl2;
	uint32_t snd_wnd_max;
	uint32_t ts_recent;
	uint32_t ts_off;
	uint32_t last_ack_sent;
	uint32_t ack_bytes; /* received since the last ACK went out */
	uint16_t mss;	    /* payload of a full segment: options that every segment carries are taken off */
	uint16_t rcv_mss;   /* largest payload seen, what delayed ACK takes for full */
	uint64_t ts_recent_ns;
	uint64_t last_rx_ns;
	uint32_t rcv_bytes; /* in order, not consumed */
	uint32_t rcv_truesize;
	uint32_t rcv_head, rcv_tail;

	/* line 2: sending */
	uint32_t rcv_off; /* consumed bytes of the first node */
	uint32_t rcvbuf;
	uint32_t cwnd, ssthresh;
	uint32_t pipe;	   /* bytes believed to be in the network */
	uint32_t tx_bytes; /* pushed, not acknowledged */
	uint32_t unsent;   /* of these, never sent */
	uint32_t txq_head, txq_tail;
	uint32_t txq_head_off;			/* acknowledged bytes of the first piece */
	uint32_t cur_chunk, cur_piece, cur_off; /* the first byte never sent */
	uint32_t rec_head, rec_tail, rec_count;

	/* line 3 */
	uint32_t time_head, time_tail; /* the same records, longest ago sent first */
	uint32_t rexmit_hint;	       /* no lost record lies before this one */
	uint32_t lost_bytes, sacked_bytes, sacked_count;
	uint32_t dirty_next, event_next;
	uint32_t released; /* acknowledged bytes that the application has not been told of */
	uint64_t timers[T_COUNT];

	/* line 4: round trips and RACK */
	uint64_t srtt_ns, rttvar_ns, rto_ns;
	uint64_t min_rtt_ns;
	uint64_t rack_xmit_ns, rack_rtt_ns;
	uint64_t progress_ns; /* when the peer last let us go forward, for the user timeout */
	uint32_t rack_end, rack_fack;
	uint32_t rack_dsack_round; /* reo_wnd_mult grows at most once until this is acknowledged */
	uint32_t tlp_end;
	uint32_t high_seq; /* recovery ends when this is acknowledged */
	uint32_t prr_delivered, prr_out, recover_fs;
	uint32_t flight_max, flight_round_end; /* largest flight of this round trip */
	uint32_t last_send_ms;		       /* for the restart after idle */
	uint32_t min_rtt_at_s;
	uint8_t backoff, probe_kind, ca_state, dupacks;
	uint8_t reo_wnd_mult, reo_wnd_persist, persist_backoff, keep_probes;

	/* cold */
	union cc_state cc;
	struct bb_net_wheel_link wheel;
	const struct bb_tcp_ops *ops;
	void *ctx;
	uint32_t ooo; /* pool object with what came out of order, or none */
	uint32_t fin_seq;
	uint32_t dsack_start, dsack_end;
	uint32_t iss, irs;
	uint32_t neigh, neigh_gen;
	uint32_t challenge_epoch_s; /* second in which challenges were counted */
	uint16_t challenges;
	uint16_t peer_mss; /* of its MSS option */
	uint16_t path_mtu;

	uint32_t pmtu_raise_s; /* when a lowered path MTU is tried higher; 0 never */
	uint32_t retransmits;
	uint8_t reason;	     /* enum bb_tcp_reason */
	uint8_t rexmit_full; /* time-outs in a row of a full-sized segment: a black hole? */
	uint8_t in_use;	     /* 0 free, 1 in the flow table, 2 not */
	uint8_t quickack;    /* segments still acknowledged at once */
};
static_assert(sizeof(struct bb_tcp) <= 512, "eight cache lines per connection");

/* A piece of received payload. */
struct rx_node {
	uint32_t next;
	uint32_t seq;
	uint32_t len;
	uint32_t block; /* pool block that it lies in, or BB_NET_POOL_NONE: in buf */
	uint32_t truesize;
	uint32_t block_used; /* bytes of the block that are taken */
	const uint8_t *data;
	void *buf;
};

/* Pieces that were pushed. */
#define CHUNK_PIECES 10
struct tx_piece {
	const uint8_t *data;
	void *owner;
	uint32_t len;
};
struct tx_chunk {
	uint32_t next;
	uint16_t first, end; /* pieces [first, end) are in use */
	struct tx_piece pieces[CHUNK_PIECES];
};

/* A segment in flight. */
#define REC_SACKED 0x1u
#define REC_LOST 0x2u	/* to be sent again; not in pipe */
#define REC_REXMIT 0x4u /* was sent again at least once */
#define REC_FIN 0x8u
#define REC_PSH 0x10u
#define REC_TIMED 0x20u /* in the order of time: exactly while it counts in pipe */
struct tx_rec {
	uint64_t xmit_ns;
	uint32_t seq, end;     /* end includes the FIN */
	uint32_t next, prev;   /* by sequence */
	uint32_t tnext, tprev; /* by time of last transmission */
	uint8_t flags;
	uint8_t count; /* transmissions, saturating */
};

/* What was received out of order: disjoint ranges, ascending. */
#define OOO_RANGES_MAX 64
struct ooo_range {
	uint32_t start, end;
	uint32_t head, tail; /* nodes, contiguous */
	uint32_t serial;     /* when it last grew: SACK reports the newest first */
};
struct ooo {
	uint32_t count, serial, bytes;
	struct ooo_range r[OOO_RANGES_MAX];
};

/* Options of a received segment. */
struct tcp_opts {
	uint32_t tsval, tsecr;
	uint16_t mss;	/* 0: none */
	uint8_t wscale; /* 0xff: none */
	bool ts, sack_ok;
	uint8_t sack_count;
	struct {
		uint32_t start, end;
	} sack[SACK_BLOCKS_MAX];
};

/* A received segment, trimmed as it goes along. */
struct seg {
	struct pkt *pkt;
	const uint8_t *data;
	uint32_t seq, ack, len; /* len: payload */
	uint32_t wnd;		/* as on the wire */
	uint8_t flags;
	bool ce;
	struct tcp_opts opt;
};

struct syn_entry {
	struct bb_flow_key key;
	uint32_t irs, iss;
	uint32_t ts_recent;
	uint32_t due_ms;
	uint32_t next, prev; /* in the list of its retry count, or of free entries */
	uint16_t mss;
	uint8_t bits; /* wscale in the low four, then SYN_* */
	uint8_t retries;
};
static_assert(sizeof(struct syn_entry) == 64, "one cache line for a handshake");
#define SYN_WSCALE 0x10u
#define SYN_SACK 0x20u
#define SYN_TS 0x40u
#define SYN_ECN 0x80u

struct tw_entry {
	struct bb_flow_key key;
	uint32_t rcv_nxt, snd_nxt;
	uint32_t ts_recent; /* of meaning if ts */
	uint32_t expire_ms;
	uint32_t next, prev;
	uint8_t ts;
	uint8_t pad[3];
};
static_assert(sizeof(struct tw_entry) == 64, "one cache line in TIME_WAIT");

struct bb_tcp_listener {
	struct bb_ip ip; /* all zero: any */
	uint16_t port;
	bool used;
	uint32_t backlog;
	uint32_t pending; /* handshakes in the SYN cache */
	bb_tcp_accept_fn *accept;
	void *ctx;
};

#define SYN_RETRY_LISTS 9

/* All of TCP of an instance. */
struct tcp_core {
	struct bb_net_pool conns, nodes, chunks, recs, ooos, syns, tws;
	struct bb_net_wheel wheel;
	uint32_t dirty_head, dirty_tail;
	uint32_t event_head, event_tail;
	struct bb_tcp_listener *listeners;
	uint32_t listeners_used; /* none in use lies behind this many */
	uint32_t syn_head[SYN_RETRY_LISTS],
		syn_tail[SYN_RETRY_LISTS]; /* by due time, one list per retry count */
	uint32_t tw_head, tw_tail;	   /* by expiry: the duration is the same for all */
	uint64_t cookie_last_ms;	   /* when a cookie last went out: only then an ACK may be one */
	uint32_t port_next;
	struct rate rst_rate;
	struct bb_tcp_tunables t; /* with defaults filled in */
};

static inline struct bb_tcp *
conn_at(const struct bb_net *net, uint32_t idx)
{
	return bb_net_pool_at(&net->tcp->conns, idx);
}

static inline uint32_t
conn_index(const struct bb_net *net, const struct bb_tcp *c)
{
	return bb_net_pool_index(&net->tcp->conns, c);
}

static inline struct tx_rec *
rec_at(const struct bb_net *net, uint32_t idx)
{
	return bb_net_pool_at(&net->tcp->recs, idx);
}

/* Our clock for timestamps: 1 ms, from a secret offset (RFC 7323 5.4). */
static inline uint32_t
ts_now(const struct bb_net *net, const struct bb_tcp *c)
{
	return (uint32_t)net->now_ms + c->ts_off;
}

/* Without SACK each duplicate ACK says that one segment has left the network (RFC 5681 3.2). */
static inline uint32_t
pipe_now(const struct bb_tcp *c)
{
	const uint32_t left = (c->flags & TF_SACK) ? 0 : (uint32_t)c->dupacks * c->mss;

	return c->pipe > left ? c->pipe - left : 0;
}

/* tcp.c */
struct bb_tcp *conn_create(struct bb_net *net, const struct bb_flow_key *key);
/* The connection is off the wire; tells the application unless it has still to read and close. */
void conn_finish(struct bb_net *net, struct bb_tcp *c, enum bb_tcp_reason reason);
void conn_dirty(struct bb_net *net, struct bb_tcp *c);
void conn_event(struct bb_net *net, struct bb_tcp *c, uint8_t ev);
void conn_state(struct bb_tcp *c, enum tcp_state state);
/* Sizes of segments after the options, the peer's MSS or the path MTU changed. */
void conn_set_mss(struct bb_net *net, struct bb_tcp *c);
/* Everything that begins with a connection: windows, timers. */
void conn_established(struct bb_net *net, struct bb_tcp *c);
uint32_t tcp_isn(struct bb_net *net, const struct bb_flow_key *key);
uint32_t tcp_ts_offset(struct bb_net *net, const struct bb_flow_key *key);
uint8_t tcp_wscale(const struct bb_net *net);
/* MSS option that we offer: that of the interface, whatever options segments carry (RFC 6691). */
uint16_t tcp_our_mss(const struct bb_net *net, bool is4);

/* tcp_opt.c */
/* Parse len bytes of options; false if they are malformed: what came before counts. */
bool tcp_opt_parse(const uint8_t *o, uint32_t len, struct tcp_opts *ret);
/* Options of a SYN or SYN-ACK; returns their length. wscale 0xff: none. */
uint32_t tcp_opt_syn(
	uint8_t *o, uint16_t mss, uint8_t wscale, bool sack, bool ts, uint32_t tsval, uint32_t tsecr);

/* tcp_listen.c */
void listen_input(struct bb_net *net, struct seg *s);
void syn_input(struct bb_net *net, uint32_t idx, struct seg *s);
void syn_poll(struct bb_net *net);
uint64_t syn_deadline(const struct bb_net *net);
struct bb_tcp_listener *listener_find(struct bb_net *net, const struct bb_ip *ip, uint16_t port);
/* A SYN for listener l; iss NULL: that of RFC 6528. */
void listen_syn(struct bb_net *net, struct bb_tcp_listener *l, struct seg *s, const uint32_t *iss);

/* tcp_tw.c */
void tw_enter(struct bb_net *net, struct bb_tcp *c);
void tw_input(struct bb_net *net, uint32_t idx, struct seg *s);
void tw_poll(struct bb_net *net);
uint64_t tw_deadline(const struct bb_net *net);

/* tcp_in.c */
/* The stages of RFC 9293 3.10.7.4 for a segment of a synchronized connection. */
void conn_input(struct bb_net *net, struct bb_tcp *c, struct seg *s);
void conn_challenge(struct bb_net *net, struct bb_tcp *c);

/* tcp_ack.c */
/* An acceptable ACK (snd_una <= ack <= snd_nxt). */
void ack_input(struct bb_net *net, struct bb_tcp *c, const struct seg *s);
void ack_window(struct bb_tcp *c, const struct seg *s);
/* RACK: mark what was sent long enough before something that arrived; returns ns until more is due, 0 none.
 */
uint64_t rack_detect(struct bb_net *net, struct bb_tcp *c);
void rto_update(struct bb_net *net, struct bb_tcp *c, uint64_t rtt_ns);
/* Losses were marked: reduce once per round trip. */
void enter_recovery(struct bb_net *net, struct bb_tcp *c);
/* Arm T_PROBE for a tail loss probe if RFC 8985 7.2 allows one. */
void tlp_arm(struct bb_net *net, struct bb_tcp *c);

/* tcp_rec.c */
struct rec_acked {
	uint32_t bytes;	   /* left the network: acknowledged or SACKed for the first time */
	uint64_t first_ns; /* sent when, of the first never retransmitted one; 0 none */
	bool any;
};
uint32_t rec_append(struct bb_net *net, struct bb_tcp *c, uint32_t seq, uint32_t end, uint8_t flags);
void rec_ack(
	struct bb_net *net, struct bb_tcp *c, uint32_t ack, uint32_t tsecr, bool ts, struct rec_acked *a);
void rec_sack(struct bb_net *net, struct bb_tcp *c, uint32_t start, uint32_t end, uint32_t tsecr, bool ts,
	struct rec_acked *a);
void rec_mark_lost(struct bb_net *net, struct bb_tcp *c, uint32_t idx);
/* The record appended last was not sent after all. */
void rec_cancel(struct bb_net *net, struct bb_tcp *c, uint32_t idx);
/* Time-out: everything not SACKed is lost; if the first was SACKed the peer reneged and all is. */
void rec_mark_all_lost(struct bb_net *net, struct bb_tcp *c);
uint32_t rec_next_lost(struct bb_net *net, struct bb_tcp *c);
/* r was sent again. */
void rec_resent(struct bb_net *net, struct bb_tcp *c, uint32_t idx);
/* Cut r so that it carries len bytes; false when no record is free. */
bool rec_split(struct bb_net *net, struct bb_tcp *c, uint32_t idx, uint32_t len);
void rec_free_all(struct bb_net *net, struct bb_tcp *c);
static inline bool
rec_in_pipe(const struct tx_rec *r)
{
	return (r->flags & (REC_SACKED | REC_LOST)) == 0;
}

/* tcp_txq.c */
bool txq_push(struct bb_net *net, struct bb_tcp *c, const struct bb_tcp_span *span);
/* n bytes at the front were acknowledged. */
void txq_release(struct bb_net *net, struct bb_tcp *c, uint32_t n);
/* Add at most len bytes from stream offset off (0 = snd_una) to tx; returns how many. fresh: off is the
 * cursor. */
uint32_t txq_gather(struct bb_net *net, const struct bb_tcp *c, uint32_t off, uint32_t len, bool fresh,
	struct bb_net_tx *tx);
/* The first n unsent bytes were sent. */
void txq_advance(struct bb_net *net, struct bb_tcp *c, uint32_t n);
void txq_free(struct bb_net *net, struct bb_tcp *c);

/* tcp_rcv.c */
/* Payload and FIN of a segment that begins at or behind rcv_nxt and ends within the window. */
void rcv_segment(struct bb_net *net, struct bb_tcp *c, struct seg *s);
void rcv_free(struct bb_net *net, struct bb_tcp *c);
void rcv_free_ooo(struct bb_net *net, struct bb_tcp *c);
/* Window to offer; moves rcv_adv. Returns bytes, a multiple of the scale. */
uint32_t rcv_window(struct bb_net *net, struct bb_tcp *c);
/* Fill at most max blocks, D-SACK first; returns how many. */
uint32_t rcv_sack_blocks(const struct bb_net *net, const struct bb_tcp *c, uint32_t *blocks, uint32_t max);
/* Report [start, end) as received twice (RFC 2883). */
void rcv_dsack(struct bb_net *net, struct bb_tcp *c, uint32_t start, uint32_t end);
void rcv_consume(struct bb_net *net, struct bb_tcp *c, uint32_t n);

/* tcp_out.c */
/* Send what may be sent; true if something is left that only the edge or memory hold up. */
bool tcp_output(struct bb_net *net, struct bb_tcp *c);
/* A segment without payload. */
void out_ack(struct bb_net *net, struct bb_tcp *c);
/* seq one below snd_una: makes the peer answer (keepalive, zero window). */
void out_probe(struct bb_net *net, struct bb_tcp *c);
void out_rst(struct bb_net *net, struct bb_tcp *c);
/* An answer that belongs to no connection. key is ours. opts may be NULL. */
struct raw_seg {
	uint32_t seq, ack, wnd;
	uint8_t flags;
	const uint8_t *opts;
	uint32_t opts_len;
};
bool out_raw(struct bb_net *net, const struct bb_flow_key *key, const struct raw_seg *r);
/* RST for a segment that nothing here expects (RFC 9293 3.10.7.1). */
void out_rst_for(struct bb_net *net, const struct seg *s);
/* RFC 8985 7.3; */
void out_tlp(struct bb_net *net, struct bb_tcp *c);

/* tcp_timer.c */
void timer_set(struct bb_net *net, struct bb_tcp *c, enum tcp_timer t, uint64_t at_ns);
static inline void
timer_stop(struct bb_tcp *c, enum tcp_timer t)
{
	c->timers[t] = BB_NEVER; /* the wheel finds out by itself */
}
static inline bool
timer_on(const struct bb_tcp *c, enum tcp_timer t)
{
	return c->timers[t] != BB_NEVER;
}
void probe_set(struct bb_net *net, struct bb_tcp *c, enum probe_kind kind, uint64_t delay_ns);
void rto_arm(struct bb_net *net, struct bb_tcp *c);
uint64_t rto_current(const struct bb_net *net, const struct bb_tcp *c);
uint32_t timer_poll(struct bb_net *net);
/* Restart the long timer after something changed that it depends on. */
void long_arm(struct bb_net *net, struct bb_tcp *c);

/* tcp_cc.c */
void cc_init(struct bb_net *net, struct bb_tcp *c);
/* bytes were acknowledged outside recovery. */
void cc_acked(struct bb_net *net, struct bb_tcp *c, uint32_t bytes);
/* Window after a reduction; remembers what the algorithm needs. */
uint32_t cc_ssthresh(struct bb_net *net, struct bb_tcp *c, bool ecn);
/* DCTCP's account of marks; each ACK. */
void cc_ecn(struct bb_net *net, struct bb_tcp *c, uint32_t bytes, bool ece);
void cc_rto(struct bb_net *net, struct bb_tcp *c);
/* RFC 6937. delivered: bytes that this ACK says have arrived; safe: it moved snd_una and marked nothing lost.
 */
void prr_acked(struct bb_tcp *c, uint32_t delivered, bool safe);
uint32_t cc_initial_window(const struct bb_net *net, const struct bb_tcp *c);

#endif
