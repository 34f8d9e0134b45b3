/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/counters.h"

const struct bb_net_ctr_info bb_net_ctr_info[BB_NET_CTR_COUNT] = {
#define BB_NET_CTR_ROW(id, name, help) { name, help },
	BB_NET_COUNTERS(BB_NET_CTR_ROW)
#undef BB_NET_CTR_ROW
};
