/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * harness: one instance of the stack under virtual time, and a peer made of scripted segments. A case says
 *
 *   in(t, .f = SYN, .mss = 1460);                 the peer sends
 *   out(t, .f = SYN | ACK, .ack = 1);             the stack must have sent exactly this next
 *   none(t);                                      and nothing else
 *   advance(t, MS(200));                          time goes by, timers run when they are due
 *
 * Sequence numbers are relative: seq of `in` and ack of `out` to the peer's first, seq of `out` and ack of
 * `in` to ours; the SYN is 0, the first byte 1. Payload is a fixed function of stream and offset and checked
 * on every packet and every read. A field that is not given is not compared, but flags, seq, ack and len
 * always are.
 *
 * A mismatch ends the case: what was expected and what came is printed and the packets are written as pcap.
 */
#ifndef TESTS_NET_HARNESS_H
#define TESTS_NET_HARNESS_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "net/net.h"
#include "net/tcp.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

#define US(n) ((uint64_t)(n)*BB_USEC)
#define MS(n) ((uint64_t)(n)*BB_MSEC)
#define SEC(n) ((uint64_t)(n)*BB_SEC)

#define LPORT 5555
#define PPORT 40000
#define CAPS_MAX 16384
#define TX_PATTERN (8u << 20)

/* A segment, to be sent or expected. Zero: not given, unless said otherwise. */
struct tp {
	int f; /* flags */
	uint32_t seq, ack, len;
	int64_t wnd; /* as on the wire; NOWND: zero. in: 0 means that of the handshake; out: 0 is not compared */
	uint16_t mss;
	int ws; /* 1 + scale */
	bool sackok;
	bool no_ts;  /* in: leave the timestamp out though negotiated. out: there must be none */
	bool ts_set; /* tsval and tsecr are given */
	uint32_t tsval, tsecr;
	uint32_t sack[8]; /* pairs, relative to the receiver of the data; in: as many as not (0,0) */
	int sacks;	  /* out: 1 + number expected */
	int ecn;	  /* in: codepoint. out: 1 + codepoint expected */
	bool bad_csum;
	uint16_t urg;
	uint16_t sport, dport; /* in: other ports than the usual ones */
	const uint8_t *raw_opts;
	uint32_t raw_opts_len;
	uint32_t pad; /* in: bytes behind the IP packet, as Ethernet pads */
	bool psh;     /* out: compare PSH too; otherwise it is ignored */
};
#define NOWND -2

struct cap {
	uint64_t at_ns;
	uint32_t len;
	bool sent; /* by the stack */
	uint8_t *b;
};

/* What one application saw. */
struct app {
	struct bb_tcp *c;
	int connected, readable, closed, rooms;
	enum bb_tcp_reason reason;
	uint64_t released;
	uint64_t pushed;   /* bytes of the pattern given to the stack */
	uint64_t consumed; /* bytes read and compared */
	bool eof;
	bool autoread;
};

struct t {
	/* set by the runner */
	bool v6;
	uint32_t isn, peer_isn;
	uint32_t offloads;
	struct bb_rand rand;
	struct bb_net_config conf; /* a case changes it before start */
	const char *name;
	jmp_buf fail;

	struct bb_mem mem;
	struct bb_net *net;
	struct bb_tcp_listener *listener;
	uint64_t now;
	struct bb_ip us, peer;
	uint8_t peer_mac[6];
	struct app a; /* the connection of most cases */
	bool refuse;  /* accept nothing */
	int accepts;

	struct cap *caps;
	uint32_t cap_count;
	uint32_t seen; /* packets of ours that out() has taken */
	uint32_t room; /* what the edge takes; UINT32_MAX no limit */
	int buffers;   /* received buffers that the stack holds */
	bool mute;     /* do not answer ARP and NS for the peer */
	uint32_t solicits;
	uint16_t vlan_in;

	/* the scripted peer */
	bool ts;	     /* negotiated: segments carry timestamps */
	uint32_t last_tsval; /* of ours */
	uint32_t ts_base;
	uint16_t pport, lport;
	int64_t wnd; /* of segments that say nothing else; 0: 65535 */
};

/* Payload byte at an offset of the stream from (out true) or to the stack. */
static inline uint8_t
pattern(bool out, uint64_t off)
{
	const uint64_t x = (off + (out ? 0 : 0x5bd1e995)) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint8_t)(x >> 56);
}

_Noreturn void fail(struct t *t, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#define CHECK(x)                                               \
	do {                                                   \
		if (!(x))                                      \
			fail(t, __FILE__, __LINE__, "%s", #x); \
	} while (0)
#define CHECK_EQ(a, b)                                                                                 \
	do {                                                                                           \
		const long long a_ = (long long)(a), b_ = (long long)(b);                              \
		if (a_ != b_)                                                                          \
			fail(t, __FILE__, __LINE__, "%s is %lld, expected %s = %lld", #a, a_, #b, b_); \
	} while (0)

/* Make the instance, tell it the peer's MAC, listen on LPORT. */
void start(struct t *t);
void stop(struct t *t);
/* Another instance with another configuration, for cases that need two. */
void restart(struct t *t, void (*conf)(struct bb_net_config *c));

#define in(t, ...) in_((t), &(struct tp){ __VA_ARGS__ })
void in_(struct t *t, const struct tp *p);
#define out(t, ...) out_((t), &(struct tp){ __VA_ARGS__ }, __FILE__, __LINE__)
struct tp out_(struct t *t, const struct tp *p, const char *file, int line);
/* The next segment of ours whatever it is; fails if there is none. */
#define any(t) any_((t), __FILE__, __LINE__)
struct tp any_(struct t *t, const char *file, int line);
/* Forget what the stack has sent so far; returns how many segments. */
uint32_t skip(struct t *t);
/* Segments of ours not taken yet. */
uint32_t waiting(struct t *t);
#define none(t) none_((t), __FILE__, __LINE__)
void none_(struct t *t, const char *file, int line);
/* The next packet of ours of any protocol, or NULL; `out` does not see it any more. */
const struct cap *next_packet(struct t *t);
/* When the segment that out() took last was sent. */
uint64_t sent_at(const struct t *t);

void inject(struct t *t, const uint8_t *b, uint32_t len);
void poll(struct t *t);
void advance(struct t *t, uint64_t ns);

/* Ethernet and IP header to the stack in front of len bytes; returns the whole length. b has room for it all.
 */
uint32_t frame(struct t *t, uint8_t *b, uint8_t proto, const uint8_t *payload, uint32_t len, int ecn,
	const struct bb_ip *src, const struct bb_ip *dst);
void fix_csum(struct t *t, uint8_t *l4, uint32_t len, uint32_t at, uint8_t proto, const struct bb_ip *src,
	const struct bb_ip *dst);

/* What handshakes take. */
#define RTT MS(10)

/* Handshakes: passive and active, with all options, or with those of the flags. */
#define NO_TS 1
#define NO_SACK 2
#define NO_WS 4
#define NO_ALL (NO_TS | NO_SACK | NO_WS)
#define WITH_ECN 8
void accepted(struct t *t, int without);
void connected(struct t *t, int without);
void begin_connect(struct t *t);

void app_send(struct t *t, uint32_t n);
/* Consume n bytes, comparing them. */
void app_read(struct t *t, uint32_t n);
void app_ops(struct t *t, struct bb_tcp *c);
struct bb_tcp_info info(struct t *t);
uint64_t ctr(struct t *t, enum bb_net_ctr c);

/* Segment payload of a full segment in this case's family, with timestamps or not. */
uint32_t full(const struct t *t);

struct test_case {
	int nr;
	const char *name;
	void (*run)(struct t *t);
	void (*conf)(struct bb_net_config *c);
};

extern const struct test_case cases_open[], cases_data[], cases_close[], cases_window[], cases_time[],
	cases_loss[], cases_attack[], cases_net[];

#endif
