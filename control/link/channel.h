/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel: control's end of the command channel (include/abi/command.h).
 *
 * Requests carry a sequence number; replies are matched by it. bb_channel_send() asks and leaves the answer
 * to bb_channel_poll(), which hands it to the handler; bb_channel_call() waits for its own answer and hands
 * what else comes meanwhile to the handler. The handler may send, but neither poll nor call.
 *
 * What arrives is checked for magic, version and length before anybody sees it. Any error closes the channel:
 * whatever was asked has then no answer.
 *
 * Thread: control's only one.
 */
#ifndef BB_LINK_CHANNEL_H
#define BB_LINK_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/command.h"

struct bb_packet {
	uint16_t type; /* enum bb_cmd_type */
	uint32_t seq;
	uint32_t len;
	const uint8_t
		*body; /* valid until the next packet is received; aligned for every struct of the ABI */
	int fd;	       /* passed along, the receiver's to close; -1: none */
};

typedef void (*bb_channel_handler)(void *arg, const struct bb_packet *packet);

struct bb_channel {
	int fd; /* -1: closed */
	uint32_t seq;
	bb_channel_handler handler;
	void *arg;
	uint8_t *buffer; /* BB_CMD_PACKET_MAX */
};

/* 0 or -ENOMEM. */
int bb_channel_init(struct bb_channel *ch, bb_channel_handler handler, void *arg);
void bb_channel_fini(struct bb_channel *ch);

/* Connect to the data plane's socket. 0 or negative errno: -ENOENT and -ECONNREFUSED say that nobody listens
 * yet. */
int bb_channel_connect(struct bb_channel *ch, const char *path);

/* Take over a connected SOCK_SEQPACKET socket instead. */
void bb_channel_adopt(struct bb_channel *ch, int fd);

/* Harmless when closed. */
void bb_channel_close(struct bb_channel *ch);

static inline bool
bb_channel_open(const struct bb_channel *ch)
{
	return ch->fd >= 0;
}

/* Send a request; its number goes to *ret_seq unless that is NULL. Negative errno closes the channel. */
int bb_channel_send(
	struct bb_channel *ch, enum bb_cmd_type type, const void *body, uint32_t len, uint32_t *ret_seq);

/*
 * Receive what is there, at most max packets, and hand it to the handler. Returns how many, or -ECONNRESET at
 * the end of the connection, -EPROTO for what is no packet, or another negative errno; all of them close the
 * channel.
 */
int bb_channel_poll(struct bb_channel *ch, unsigned max);

/*
 * Ask and wait up to timeout_ms for the answer, which must be of type want and of at least want_len octets.
 * Returns 0; the negative error of an ACK that came instead, its text in *ret_text when that is not NULL;
 * -ETIMEDOUT; or an error as bb_channel_poll() does. Of these only the last closes the channel.
 */
int bb_channel_call(struct bb_channel *ch, enum bb_cmd_type type, const void *body, uint32_t len,
	enum bb_cmd_type want, uint32_t want_len, int timeout_ms, struct bb_packet *ret,
	char (*ret_text)[BB_CMD_TEXT_MAX]);

/* The packet's body if it is of that type and long enough, else NULL. */
const void *bb_packet_body(const struct bb_packet *packet, enum bb_cmd_type type, size_t len);

/* Copy a text field that should end with a zero octet, whether it does or not. */
void bb_packet_text(char *out, size_t out_size, const char *field, size_t field_size);

#endif
