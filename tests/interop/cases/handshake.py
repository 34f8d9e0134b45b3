# SPDX-License-Identifier: BSD-3-Clause
"""READY and ERROR: metadata, socket types, order."""
import struct

from harness.broker import pipeline, pubsub, reqrep
from harness.case import case
from harness.traffic import Honest, refusal, through
from harness.wait import equal, need
from rawpeer import command, frame, greeting, message, ping, prop, ready, subscribe

TYPES = (b"PAIR", b"PUB", b"SUB", b"REQ", b"REP", b"DEALER", b"ROUTER", b"PULL", b"PUSH", b"XPUB", b"XSUB")

# side -> (the type we present, the types we talk to)
SIDES = {
    "publishers": (b"XSUB", (b"PUB", b"XPUB")),
    "subscribers": (b"XPUB", (b"SUB", b"XSUB")),
    "producers": (b"PULL", (b"PUSH",)),
    "consumers": (b"PUSH", (b"PULL",)),
    "clients": (b"ROUTER", (b"REQ", b"DEALER", b"ROUTER")),
    "workers": (b"DEALER", (b"REP", b"DEALER", b"ROUTER")),
}


def refused_ready(t, b, octets, cause, what, where="producers"):
    """A peer whose handshake goes on with these octets is closed."""
    causes = [cause] if isinstance(cause, str) else cause
    with refusal(b, *causes):
        odd = t.raw(b.port(where))
        odd.send(greeting())
        odd.read_greeting()
        odd.try_send(octets)
        odd.closed(what)
        odd.close()


@case()
def each_side_presents_its_type(t):
    """READY tells the socket type of design section 4; nothing else is required of it."""
    b = t.start()
    for where, (presents, talks_to) in SIDES.items():
        peer = t.raw(b.port(where)).handshake(talks_to[0])
        equal(peer.peer_metadata.get("socket-type"), presents, f"Socket-Type of {where}")
        for name in peer.peer_metadata:
            need(name in ("socket-type", "identity") or name.startswith("x-"), f"READY holds {name}")


@case()
def every_compatible_type_is_served(t):
    """All types that a side talks to pass the handshake, under 3.0 and 3.1."""
    b = t.start()
    for where, (_, talks_to) in SIDES.items():
        for kind in talks_to:
            for version in ((3, 0), (3, 1)):
                peer = t.raw(b.port(where)).handshake(kind, version)
                peer.pong()
                peer.close()


@case(busbar=True)
def every_other_type_gets_error_and_is_closed(t):
    """A type that a side does not talk to is told so by an ERROR command, then closed, and counted."""
    b = t.start()
    honest = Honest(t, b)
    for where, (_, talks_to) in SIDES.items():
        for kind in TYPES + (b"FOO", b"", b"push", b"PUSHX", b"P", b"CLIENT", b"SERVER", b"X" * 300):
            if kind in talks_to:
                continue
            with refusal(b, "type"):
                odd = t.raw(b.port(where))
                odd.send(greeting() + ready(kind))
                odd.read_greeting()
                got = odd.frame(f"ERROR for {kind!r} at {where}")
                if got.name == b"READY":  # ours went at once
                    got = odd.frame(f"ERROR for {kind!r} at {where}")
                equal(got.name, b"ERROR", f"what {kind!r} is told at {where}")
                need(got.data and got.data[0] == len(got.data) - 1 > 0, f"the reason in ERROR is {got.data!r}")
                odd.closed(f"{kind!r} is closed at {where}")
                odd.close()
    honest.check()


@case()
def a_wrong_type_never_joins_the_traffic(t):
    """Whatever becomes of it, a PULL at the producers' side gets and gives nothing."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for where, kind in (("producers", b"PULL"), ("producers", b"SUB"), ("consumers", b"PUSH"), ("consumers", b"REQ")):
        odd = t.raw(b.port(where))
        odd.send(greeting() + ready(kind))
        odd.try_send(message(b"intruder"))
        odd.closed(f"{kind!r} is closed at {where}")
        honest.check()


@case()
def odd_but_good_metadata(t):
    """Unknown properties, names in any case, empty values, a long value: all are taken."""
    b = t.start(pipeline())
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    kind = prop(b"Socket-Type", b"PUSH")
    readies = [
        kind + prop(b"X-Company", b"some value"),
        prop(b"X-First", b"") + kind,
        kind + prop(b"Identity", b""),
        kind + prop(b"Identity", b"some id"),
        kind + prop(b"Resource", b"a/b/c"),
        kind + prop(b"x" * 255, b"long name"),
        kind + prop(b"X-Long", b"v" * 1000),
        kind + prop(b"X-Binary", bytes(range(256))),
        prop(b"socket-type", b"PUSH"),
        prop(b"SOCKET-TYPE", b"PUSH"),
        prop(b"sOcKeT-tYpE", b"PUSH") + prop(b"IDENTITY", b"x"),
        b"".join(prop(b"X-%d" % i, b"%d" % i) for i in range(50)) + kind,
    ]
    for n, body in enumerate(readies):
        producer = t.raw(b.port("producers"))
        producer.send(greeting() + command(b"READY", body))
        producer.read_greeting()
        producer.read_ready()
        producer.send(message(b"%d" % n))
        equal(consumer.message(), [b"%d" % n], f"the message of the peer with metadata {n}")


@case()
def ready_in_the_long_form(t):
    """READY may come as a command of the 8-octet length form."""
    b = t.start(pipeline())
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    producer = t.raw(b.port("producers"))
    producer.send(greeting() + ready(b"PUSH", long=True))
    producer.read_greeting()
    producer.read_ready()
    through(producer, consumer, [b"hello"], "a message")


@case()
def ready_split_at_every_octet(t):
    """READY in both length forms cut in two at every place: in the length, the name, the values."""
    b = t.start(pipeline())
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    for octets in (ready(b"PUSH", extra=prop(b"X-A", b"b")), ready(b"PUSH", long=True)):
        for cut in range(1, len(octets)):
            producer = t.raw(b.port("producers"))
            producer.send(greeting() + octets[:cut])
            producer.read_greeting()
            producer.send(octets[cut:])
            producer.read_ready()
            producer.send(message(b"%d" % cut))
            equal(consumer.message(), [b"%d" % cut], f"the message of the peer cut at {cut}")
            producer.close()


def value_of(size):
    """Metadata that ends in a property whose value is told to have this size, without the value."""
    return prop(b"Socket-Type", b"PUSH") + b"\x03X-A" + struct.pack(">I", size)


@case()
def broken_metadata_is_refused(t):
    """Lengths that overrun, an empty name, a value of 2^31 and more, pieces left over."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    kind = prop(b"Socket-Type", b"PUSH")
    broken = {
        "a value that overruns": value_of(10) + b"short",
        "a value one octet too long": value_of(6) + b"12345",
        "a value of 2^31": value_of(1 << 31) + b"x",
        "a value of 2^32 - 1": value_of((1 << 32) - 1) + b"x",
        "a name that overruns": kind + b"\xffX-A",
        "half a value length": kind + b"\x03X-A\0\0",
    }
    for what, body in broken.items():
        refused_ready(t, b, command(b"READY", body), ("metadata", "handshake", "command"), f"{what} is refused")
        honest.check()


@case(busbar=True)
def strictly_broken_metadata_is_refused(t):
    """An empty property name, a forbidden character in a name, no Socket-Type, no properties at all."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    kind = prop(b"Socket-Type", b"PUSH")
    broken = {
        "an empty name": kind + prop(b"", b"x"),
        "a value of 2^31 and nothing behind it": value_of(1 << 31),
        "a value that is missing": value_of(1),
        "a name and no value": kind + b"\x03X-A",
        "a single octet left over": kind + b"\x05",
        "no Socket-Type": prop(b"Identity", b"x"),
        "no properties": b"",
        "Socket-Type twice, differently": kind + prop(b"Socket-Type", b"PULL"),
        "a routing id of 256 octets": kind + prop(b"Identity", b"x" * 256),
    }
    for what, body in broken.items():
        refused_ready(t, b, command(b"READY", body), ("metadata", "type", "identity"), f"{what} is refused")
        honest.check()


@case()
def a_huge_ready_is_not_kept(t):
    """READY of a declared 2^40 octets, or with a megabyte of properties, does not eat memory."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for octets in (b"\x06" + struct.pack(">Q", 1 << 40) + b"\x05READY", b"\x06" + b"\xff" * 8,
                   b"\x06" + struct.pack(">Q", 1 << 63)):
        odd = t.raw(b.port("producers"))
        odd.try_send(greeting() + octets + b"x" * 100000)
        if b.is_busbar:
            odd.closed("a READY without end is refused")
        odd.close()
        honest.check()
    odd = t.raw(b.port("producers"))
    odd.try_send(greeting() + ready(b"PUSH", extra=prop(b"X-Big", b"v" * 1000000)))
    honest.check()


@case()
def something_else_than_ready_is_refused(t):
    """Messages, other commands and broken ones before READY."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    firsts = {
        "a message": message(b"hello"),
        "PING": ping(0, b"x"),
        "SUBSCRIBE": subscribe(b"x"),
        "HELLO of PLAIN": command(b"HELLO", b"\x04user\x04pass"),
        "an unknown command": command(b"WHATEVER", b"x"),
        "a name that overruns": frame(b"\xffREADY", 4),
        "a short name": frame(b"\x05REA", 4),
        "READYX": command(b"READYX", prop(b"Socket-Type", b"PUSH")),
        "an empty command": frame(b"", 4),
    }
    for what, octets in firsts.items():
        refused_ready(t, b, octets, ("handshake", "command"), f"{what} before READY is refused")
        honest.check()


@case()
def an_error_command_ends_the_session(t):
    """A peer that refuses us by ERROR is closed, with any kind of reason."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for body in (b"\x00", b"\x03400", b"\x0bgo away now", b"\xff" + b"x" * 255):
        refused_ready(t, b, command(b"ERROR", body), "peer_error", f"ERROR {body!r} ends the session")
    honest.check()


@case()
def a_second_ready_disturbs_nobody(t):
    """READY once more, after the handshake: ignored or refused, but messages of others go on."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    odd = t.raw(b.port("producers")).handshake(b"PUSH")
    odd.try_send(ready(b"PUSH") + ready(b"PULL"))
    honest.check()


@case()
def half_closed_in_the_handshake(t):
    """Peers that shut down their sending half at any point of the handshake are closed."""
    b = t.start(pubsub(), pipeline(), reqrep())
    honest = Honest(t, b)
    hello = greeting() + ready(b"PUSH")
    for cut in (0, 5, 11, 64, 70):
        odd = t.raw(b.port("producers")).send(hello[:cut])
        odd.half_close()
        odd.closed(f"a peer that ends after {cut} octets is closed")
    honest.check()
