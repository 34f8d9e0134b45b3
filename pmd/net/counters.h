/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counters: what the stack did and why it dropped what it dropped. Every packet that is not used has exactly
 * one counter of the kind "drop". One writer, the instance; names are stable, docs/tcp.md explains them.
 */
#ifndef BB_NET_COUNTERS_H
#define BB_NET_COUNTERS_H

#include <stdint.h>

/* X(enum suffix, name, help) */
#define BB_NET_COUNTERS(X)                                                                             \
	X(RX_PKTS, "rx_packets", "frames received")                                                    \
	X(RX_BYTES, "rx_bytes", "bytes received, from the Ethernet header")                            \
	X(TX_PKTS, "tx_packets", "frames handed to the edge")                                          \
	X(TX_BYTES, "tx_bytes", "bytes handed to the edge, from the Ethernet header")                  \
	X(TX_NO_ROOM, "tx_no_room", "times the edge took nothing")                                     \
	X(DROP_ETH_SHORT, "drop_eth_short", "frames too short for their headers")                      \
	X(DROP_ETH_TYPE, "drop_eth_type", "frames of a protocol not spoken here")                      \
	X(DROP_ETH_DST, "drop_eth_dst", "frames for another station")                                  \
	X(DROP_VLAN, "drop_vlan", "frames with another VLAN tag, or none")                             \
	X(DROP_IP_HEADER, "drop_ip_header", "IP headers that make no sense")                           \
	X(DROP_IP_CSUM, "drop_ip_csum", "IPv4 header checksum wrong")                                  \
	X(DROP_IP_OPTIONS, "drop_ip_options", "IPv4 options, IPv6 extension headers not accepted")     \
	X(DROP_IP_FRAGMENT, "drop_ip_fragment", "fragments")                                           \
	X(DROP_IP_SRC, "drop_ip_src", "source address that cannot be one")                             \
	X(DROP_IP_DST, "drop_ip_dst", "destination address that is not ours")                          \
	X(DROP_IP_PROTO, "drop_ip_proto", "upper-layer protocol not spoken here")                      \
	X(DROP_ARP, "drop_arp", "ARP packets that are malformed or not for us")                        \
	X(ARP_REQUESTS_IN, "arp_requests_in", "ARP requests for our addresses")                        \
	X(ARP_REPLIES_IN, "arp_replies_in", "ARP replies taken")                                       \
	X(DROP_ICMP, "drop_icmp", "ICMP messages malformed or of no use here")                         \
	X(DROP_ICMP_CSUM, "drop_icmp_csum", "ICMP checksum wrong")                                     \
	X(DROP_ICMP_RATE, "drop_icmp_rate", "ICMP answers not sent because of the rate limit")         \
	X(DROP_ICMP_STALE, "drop_icmp_stale",                                                          \
		"ICMP errors about no connection or about bytes not in flight")                        \
	X(ICMP_ECHO_IN, "icmp_echo_in", "echo requests answered")                                      \
	X(ICMP_ERR_IN, "icmp_errors_in", "ICMP errors that concerned a connection")                    \
	X(ICMP_ERR_OUT, "icmp_errors_out", "ICMP errors sent")                                         \
	X(DROP_ND, "drop_nd", "neighbour discovery malformed, hop limit not 255, or not for us")       \
	X(ND_SOLICITS_IN, "nd_solicits_in", "neighbour solicitations for our addresses")               \
	X(ND_ADVERTS_IN, "nd_adverts_in", "neighbour advertisements taken")                            \
	X(DAD_CONFLICTS, "dad_conflicts", "our addresses seen in use by another station")              \
	X(NEIGH_SOLICITS_OUT, "neigh_solicits_out", "ARP requests and neighbour solicitations sent")   \
	X(NEIGH_FAILED, "neigh_failed", "neighbours that did not answer")                              \
	X(NEIGH_FULL, "neigh_full", "packets not sent because the neighbour table was full")           \
	X(NEIGH_PENDING_DROP, "neigh_pending_drop", "packets not kept while a neighbour was resolved") \
	X(NO_ROUTE, "no_route", "packets not sent for want of a route")                                \
	X(TCP_IN, "tcp_segments_in", "TCP segments with a good checksum")                              \
	X(TCP_OUT, "tcp_segments_out", "TCP segments sent")                                            \
	X(DROP_TCP_CSUM, "drop_tcp_csum", "TCP checksum wrong")                                        \
	X(DROP_TCP_HEADER, "drop_tcp_header", "TCP header malformed")                                  \
	X(DROP_TCP_FLAGS, "drop_tcp_flags", "flags that make no sense in this state")                  \
	X(DROP_TCP_CLOSED, "drop_tcp_closed", "segments for which nothing exists here")                \
	X(DROP_TCP_WINDOW, "drop_tcp_window", "segments outside the receive window")                   \
	X(DROP_TCP_PAWS, "drop_tcp_paws", "segments with an old timestamp")                            \
	X(DROP_TCP_ACK, "drop_tcp_ack", "segments with an ACK that is not acceptable")                 \
	X(DROP_TCP_RST, "drop_tcp_rst", "RST outside the window or in TIME_WAIT")                      \
	X(DROP_TCP_OOO, "drop_tcp_ooo", "out-of-order payload dropped: too many holes or no memory")   \
	X(DROP_TCP_MEM, "drop_tcp_mem", "in-order payload dropped: no memory")                         \
	X(DROP_TCP_AFTER_CLOSE, "drop_tcp_after_close", "payload after the application closed")        \
	X(DROP_TCP_CONNS, "drop_tcp_conns", "handshakes not finished: connection table full")          \
	X(DROP_TCP_BACKLOG, "drop_tcp_backlog", "handshakes not finished: the listener took no more")  \
	X(DROP_TCP_COOKIE, "drop_tcp_cookie", "ACKs that are no valid SYN cookie")                     \
	X(DROP_TCP_TIMEWAIT, "drop_tcp_timewait", "segments for connections in TIME_WAIT")             \
	X(DROP_TCP_SYN, "drop_tcp_syn", "segments for a handshake that it cannot use")                 \
	X(RST_IN, "tcp_resets_in", "connections reset by their peer")                                  \
	X(RST_OUT, "tcp_resets_out", "resets sent")                                                    \
	X(CHALLENGE_ACKS, "tcp_challenge_acks", "RFC 5961 challenge ACKs sent")                        \
	X(CHALLENGE_LIMITED, "tcp_challenge_limited", "challenge ACKs not sent because of the limit")  \
	X(CONN_OPENED, "tcp_connects", "connections we began")                                         \
	X(CONN_ACCEPTED, "tcp_accepts", "connections accepted")                                        \
	X(CONN_CLOSED, "tcp_closed", "connections gone, for whatever reason")                          \
	X(CONN_TIMEOUT, "tcp_timeouts", "connections given up: peer silent")                           \
	X(SYN_IN, "tcp_syns_in", "SYNs to listeners")                                                  \
	X(SYNACK_REXMIT, "tcp_synack_rexmits", "SYN-ACKs sent again")                                  \
	X(SYN_EXPIRED, "tcp_syn_expired", "handshakes that the client never finished")                 \
	X(COOKIE_SENT, "tcp_cookies_sent", "SYN cookies sent, the SYN cache being full")               \
	X(COOKIE_OK, "tcp_cookies_ok", "connections made from a SYN cookie")                           \
	X(TW_ENTERED, "tcp_timewait_entered", "connections that went to TIME_WAIT")                    \
	X(TW_EVICTED, "tcp_timewait_evicted", "TIME_WAIT records dropped early: table full")           \
	X(TW_REUSED, "tcp_timewait_reused", "TIME_WAIT records reopened by a SYN (RFC 6191)")          \
	X(REXMIT, "tcp_rexmits", "data segments sent again")                                           \
	X(RTO, "tcp_rtos", "retransmission time-outs")                                                 \
	X(TLP, "tcp_tlps", "tail loss probes")                                                         \
	X(RECOVERY, "tcp_recoveries", "loss recoveries entered without a time-out")                    \
	X(PERSIST, "tcp_persist_probes", "zero-window probes")                                         \
	X(KEEPALIVE, "tcp_keepalive_probes", "keepalive probes")                                       \
	X(DSACK_IN, "tcp_dsacks_in", "D-SACK blocks received")                                         \
	X(DSACK_OUT, "tcp_dsacks_out", "D-SACK blocks sent")                                           \
	X(OOO_IN, "tcp_ooo_in", "segments that arrived out of order")                                  \
	X(DUP_IN, "tcp_dup_in", "segments that held nothing new")                                      \
	X(RENEGED, "tcp_reneged", "time-outs at which the peer had taken back SACKed data")            \
	X(ECN_CE_IN, "tcp_ecn_ce_in", "segments marked congestion experienced")                        \
	X(ECN_REDUCED, "tcp_ecn_reductions", "window reductions because of ECN")                       \
	X(PMTU_LOWERED, "tcp_pmtu_lowered", "path MTU reductions")                                     \
	X(BLACKHOLE, "tcp_blackhole", "path MTU black holes assumed")                                  \
	X(TX_NO_MEM, "tcp_tx_no_mem", "segments not sent yet: no record free")

enum bb_net_ctr {
#define BB_NET_CTR_ENUM(id, name, help) BB_NET_CTR_##id,
	BB_NET_COUNTERS(BB_NET_CTR_ENUM)
#undef BB_NET_CTR_ENUM
		BB_NET_CTR_COUNT
};

struct bb_net_ctr_info {
	const char *name;
	const char *help;
};

extern const struct bb_net_ctr_info bb_net_ctr_info[BB_NET_CTR_COUNT];

#endif
