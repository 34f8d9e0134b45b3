# SPDX-License-Identifier: BSD-3-Clause
"""
Every name and layout that the tests expect of Busbar's reading commands, in one place.

The rest of the tests says `refused("type")` or `account.dropped`; only this file knows how the JSON
of `status`, `peers` and `counters` spells it.
"""

# What a test means by a refusal -> the counter that must move.
REFUSED = {
    "greeting": "refused_greeting",        # no ZMTP signature, or broken in its first 64 octets
    "version": "refused_version",          # ZMTP 1.0 and 2.0
    "mechanism": "refused_mechanism",      # another mechanism than ours
    "handshake": "refused_handshake",      # something else than READY came first
    "metadata": "refused_metadata",        # READY whose properties overrun, or without Socket-Type
    "type": "refused_type",                # a Socket-Type that this side does not talk to
    "identity": "refused_identity",        # a routing id that is taken or not allowed
    "oversize": "refused_oversize",        # above max_message, or a length of 2^63 and more
    "frames": "refused_frames",            # above max_frames
    "command": "refused_command",          # a command whose body is broken
    "handshake_timeout": "handshake_timeout",
    "heartbeat_timeout": "heartbeat_timeout",
    "peer_error": "peer_error",            # the peer sent ERROR
}

# Keys of an input account (endpoint side) and of an output account (session), see accounts().
DROPPED_IN = ("no_subscriber", "unroutable", "malformed", "denied", "memory")
DROPPED_OUT = ("hwm", "peer_gone", "memory", "shutdown")

# The last thing that `busbar run` prints holds this word, and the name of every endpoint.
FINAL_REPORT_WORD = "stopped"


def is_running(status):
    """True if `status --json` says that the node works."""
    return str(status.get("state", "")).lower() == "running"


def leaves(node, key):
    """All numbers that stand under `key`, however deep."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key and isinstance(value, (int, float)) and not isinstance(value, bool):
                yield value
            else:
                yield from leaves(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from leaves(item, key)


def total(counters, name):
    """The sum of one counter over all cores, sides and sessions of `counters --json`."""
    return sum(leaves(counters, name))


def refused(counters, cause):
    return total(counters, REFUSED[cause])


class Account:
    """One account of messages: what came must be equal to what became of it."""

    def __init__(self, where, came, went):
        self.where, self.came, self.went = where, came, went

    def balanced(self):
        return self.came == sum(self.went.values())

    def __str__(self):
        return f"{self.where}: {self.came} != {' + '.join(f'{k} {v}' for k, v in self.went.items())}"


def dicts_with(node, keys, path=""):
    """(path, dict) for every dict below node that has all the keys."""
    if isinstance(node, dict):
        if all(key in node for key in keys):
            yield path, node
        for name, value in node.items():
            yield from dicts_with(value, keys, f"{path}/{name}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            name = item.get("name", index) if isinstance(item, dict) else index
            yield from dicts_with(item, keys, f"{path}/{name}")


def dropped(row, which):
    """The drops of a row by cause: a dict `dropped_in`, `dropped_out` or `dropped`, else none."""
    drops = row.get(which, row.get("dropped", {}))
    return {f"{which}.{cause}": n for cause, n in drops.items()}


def accounts(counters):
    """All accounts found in `counters --json`; the test fails when there is none."""
    found = []
    for where, row in dicts_with(counters, ("received", "routed")):
        went = {"routed": row["routed"], "parked": row.get("parked", 0)}
        went.update(dropped(row, "dropped_in"))
        found.append(Account(f"{where} received", row["received"], went))
    for where, row in dicts_with(counters, ("copies", "sent", "queued")):
        went = {"sent": row["sent"], "queued": row["queued"], "in_transit": row.get("in_transit", 0)}
        went.update(dropped(row, "dropped_out"))
        found.append(Account(f"{where} copies", row["copies"], went))
    return found


def in_motion(counters):
    """Messages that are on their way inside: 0 when the node is quiet and nobody stalls."""
    return total(counters, "in_transit")


def peer_rows(peers):
    """The rows of `peers --json`."""
    return peers if isinstance(peers, list) else peers["peers"]


def row_has_port(row, port):
    """True if this row is the peer whose own TCP port is `port`."""
    return str(row.get("remote", row.get("address", ""))).endswith(f":{port}")


def row_hwm_drops(row):
    return row.get("dropped_out", row.get("dropped", {})).get("hwm", 0)
