# SPDX-License-Identifier: BSD-3-Clause
"""
Every name and layout that the tests expect of Busbar's reading commands, in one place.

The rest of the tests says `refused("type")` or `account.dropped`; only this file knows how the JSON
of `status`, `peers` and `counters` spells it.
"""

# What a test means by a refusal -> the counters of which one must move; () where there is none.
REFUSED = {
    "greeting": ("refused_greeting",),    # no ZMTP signature
    "version": ("refused_version",),      # ZMTP 1.0 and 2.0
    "mechanism": ("refused_mechanism",),  # another mechanism than ours
    "handshake": ("refused_command", "refused_frame"),  # something else than READY came first
    "metadata": ("refused_command", "refused_type", "refused_claim"),  # properties that overrun or lack
    "type": ("refused_type",),            # a Socket-Type that this side does not talk to
    "identity": ("refused_claim",),       # a routing id that is taken or not allowed
    "oversize": ("refused_oversize", "refused_frame"),  # above max_message; a length of 2^63 and more
    "frames": ("refused_frames",),        # above max_frames
    "command": ("refused_command",),      # a command whose body is broken
    "handshake_timeout": ("timeout_handshake",),
    "heartbeat_timeout": ("timeout_heartbeat",),
    "peer_error": (),                     # the peer sent ERROR
}

DROPPED_IN, DROPPED_OUT = "dropped_in_", "dropped_out_"

# `busbar run` ends by saying what became of the messages that were queued.
FINAL_REPORT_WORD = "drained"


def is_running(status):
    """True if `status --json` says that the data plane works and has its configuration."""
    return status.get("state") in ("running", "synced") and (status.get("dataplane") or {}).get("state") == "running"


def refused_endpoints(status):
    """What the data plane would not take, for instance since an address is in use."""
    return status.get("refused") or []


def sides(counters):
    """{(endpoint, side): {counter: value}} of `counters --json`."""
    return {(row["endpoint"], row["side"]): row["counters"] for row in counters["sides"]}


def total(counters, name):
    """The sum of one counter over all sides."""
    rows = sides(counters)
    if not any(name in row for row in rows.values()):
        raise KeyError(f"no side counts {name}: {sorted(next(iter(rows.values()), {}))}")
    return sum(row.get(name, 0) for row in rows.values())


def refused(counters, causes):
    """How many were refused for any of these causes; None where no counter tells."""
    names = {name for cause in causes for name in REFUSED[cause]}
    return sum(total(counters, name) for name in names) if names else None


class Account:
    """One account of messages: what came must be equal to what became of it."""

    def __init__(self, where, came, went):
        self.where, self.came, self.went = where, came, went

    def balanced(self):
        return self.came == sum(self.went.values())

    def __str__(self):
        return f"{self.where}: {self.came} != {' + '.join(f'{k} {v}' for k, v in self.went.items())}"


def dropped(row, prefix):
    """The drops of a row in messages, by cause."""
    return {key: n for key, n in row.items() if key.startswith(prefix) and not key.endswith("_bytes")}


def accounts(counters):
    """
    All accounts in `counters --json`: what each side received, and for the two sides of an endpoint the
    copies that one side's messages became and what became of them at the other side's sessions.
    """
    found = []
    rows = sides(counters)
    for (name, side), row in rows.items():
        went = {"routed": row["routed"], "parked": row["parked"], **dropped(row, DROPPED_IN)}
        found.append(Account(f"{name} {side} received", row["received"], went))
        for (other_name, other_side), other in rows.items():
            if other_name == name and other_side != side:
                went = {"sent": other["sent"], "queued": other["queued"], **dropped(other, DROPPED_OUT)}
                found.append(Account(f"{name} {side} copies", row["copies"], went))
    return found


def peer_rows(peers):
    """The rows of `peers --json`."""
    return peers["peers"]


def row_has_port(row, port):
    """True if this row is the peer whose own TCP port is `port`."""
    return row["address"].endswith(f":{port}")


def row_is_at(row, endpoint, side):
    """True if this row is a peer past its handshake at a side; endpoint may be empty for any."""
    return row["side"] == side and endpoint in ("", row["endpoint"]) and row["state"] == "ready"


class Session:
    """What a row of `peers --json` says about the messages for this peer."""

    def __init__(self, row):
        counters = row["counters"]
        self.copies, self.sent, self.queued = counters["arrived"], counters["sent"], counters["queued"]
        self.hwm_drops = counters["dropped_out_hwm"]


def io_cores(cores):
    """How many cores of `cores --json` carry the I/O role."""
    return sum("io" in core["roles"] for core in cores["cores"])
