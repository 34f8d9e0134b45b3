/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * option: the table of everything that can be configured. One row per key: where it lies in struct bb_conf,
 * its type, range, default and help. Parsing, checking, defaults, `config show`, `config keys` and the
 * management API are made from these rows; a new option is a new row and a field.
 */
#ifndef BB_CONF_OPTION_H
#define BB_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/* Which struct a row's offset counts from, and which map of the text it is a key of. */
enum bb_conf_section {
	BB_CONF_SECTION_NODE,	   /* struct bb_conf_node */
	BB_CONF_SECTION_DATAPLANE, /* struct bb_conf_dataplane */
	BB_CONF_SECTION_ENDPOINT,  /* struct bb_conf_endpoint */
	BB_CONF_SECTION_SIDE,	   /* struct bb_conf_side */
	BB_CONF_SECTION_CONTROL,   /* struct bb_conf_control */
	BB_CONF_SECTION_COUNT,
};

enum bb_conf_type {
	BB_CONF_BOOL,	   /* bool: true or false */
	BB_CONF_COUNT,	   /* uint64_t: a whole number */
	BB_CONF_DURATION,  /* uint64_t, ns: number and unit, or 0 */
	BB_CONF_SIZE,	   /* uint64_t, bytes: number and unit, or 0 */
	BB_CONF_SIZE_AUTO, /* the same, or auto, which is stored as 0 */
	BB_CONF_ENUM,	   /* uint32_t: one of names[] */
	BB_CONF_TEXT,	   /* char[max + 1] */
	BB_CONF_NAME,	   /* char[max + 1]: letters, digits, . _ - */
	BB_CONF_PATH,	   /* char[max + 1]: an absolute path, or null */
	BB_CONF_CPUS,	   /* struct bb_conf_cpus: auto, or numbers and ranges */
	BB_CONF_ADDRESSES, /* struct bb_conf_address *, and at offset2 a uint32_t count */
	BB_CONF_LISTEN,	   /* struct bb_conf_address: a loopback HOST:PORT, or null */
};

/* Sides by pattern, as bits: which sides have an option. */
#define BB_CONF_PUBLISHERS 0x01u
#define BB_CONF_SUBSCRIBERS 0x02u
#define BB_CONF_PRODUCERS 0x04u
#define BB_CONF_CONSUMERS 0x08u
#define BB_CONF_CLIENTS 0x10u
#define BB_CONF_WORKERS 0x20u
#define BB_CONF_ALL_SIDES 0x3fu

struct bb_conf_option {
	const char *path; /* key, or group.key */
	uint8_t section;  /* enum bb_conf_section */
	uint8_t type;	  /* enum bb_conf_type */
	uint8_t sides;	  /* BB_CONF_*S bits that have it; SIDE only */
	uint16_t offset, offset2;
	uint64_t min, max;	  /* in the stored unit; for texts, octets; for addresses, how many */
	const char *const *names; /* ENUM: ends with NULL */
	const char *text;	  /* default as an operator would write it; NULL: must be given */
	const char *help;	  /* one sentence without a full stop */
};

/* The rows, those of a section together, in the order in which they are shown. Fewer than 64 per section. */
extern const struct bb_conf_option bb_conf_options[];
extern const size_t bb_conf_option_count;

/* Rows of a section: *ret_count of them, beginning with the one returned. */
const struct bb_conf_option *bb_conf_section_options(enum bb_conf_section section, size_t *ret_count);

/* Sides of a pattern. */
struct bb_conf_side_info {
	const char *name;
	const char *socket; /* what we present to peers */
	uint32_t bit;	    /* BB_CONF_PUBLISHERS ... */
	uint32_t when_full; /* bits of the policies it may have; its default is the lowest */
};

struct bb_conf_pattern_info {
	const char *name;
	struct bb_conf_side_info sides[2];
};

extern const struct bb_conf_pattern_info bb_conf_patterns[BB_CONF_PATTERN_COUNT];
extern const char *const bb_conf_when_full_names[];
extern const char *const bb_conf_subscribe_names[];

/* Fill a section's struct with its defaults. */
void bb_conf_defaults(enum bb_conf_section section, void *base);

#endif
