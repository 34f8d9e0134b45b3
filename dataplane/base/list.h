/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list: doubly linked, circular, intrusive; the head is a node of its own.
 * A node that is in no list points to itself, so removing it twice is harmless.
 */
#ifndef BB_BASE_LIST_H
#define BB_BASE_LIST_H

#include <stdbool.h>

#include "base/compiler.h"

struct bb_list {
	struct bb_list *next, *prev;
};

static inline void
bb_list_init(struct bb_list *n)
{
	n->next = n->prev = n;
}

static inline bool
bb_list_empty(const struct bb_list *head)
{
	return head->next == head;
}

/* True if the node is in some list. */
static inline bool
bb_list_linked(const struct bb_list *n)
{
	return n->next != n;
}

static inline void
bb_list_append(struct bb_list *head, struct bb_list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void
bb_list_remove(struct bb_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}

/* Take the first node out; NULL if there is none. */
static inline struct bb_list *
bb_list_pop(struct bb_list *head)
{
	struct bb_list *n = head->next;

	if (n == head)
		return NULL;
	bb_list_remove(n);
	return n;
}

/* Make `to` a head that holds all nodes of `from`, which is empty then. */
static inline void
bb_list_move_all(struct bb_list *to, struct bb_list *from)
{
	bb_list_init(to);
	if (bb_list_empty(from))
		return;
	*to = *from;
	to->next->prev = to->prev->next = to;
	bb_list_init(from);
}

/* Move all of from, in order, to the end of head. */
static inline void
bb_list_splice(struct bb_list *head, struct bb_list *from)
{
	if (bb_list_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	bb_list_init(from);
}

#define bb_list_entry(node, type, member) bb_container_of(node, type, member)

/* Walk; the current node may be removed. */
#define bb_list_for_each(node, head)                                                         \
	for (struct bb_list *node = (head)->next, *node##_next = node->next; node != (head); \
		node = node##_next, node##_next = node->next)

#endif
