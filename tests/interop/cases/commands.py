# SPDX-License-Identifier: BSD-3-Clause
"""Commands between and inside messages: PING, PONG, unknown and broken ones."""
import time

from harness.broker import pipeline, pubsub
from harness.case import case
from harness.traffic import Honest, join, refusal, through
from harness.wait import PATIENCE, equal, eventually, need
from rawpeer import COMMAND, MORE, Closed, command, frame, message, ping, subscribe


def raw_pair(t, **settings):
    b = t.start(pipeline(**settings))
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    return b, producer, consumer


@case()
def ping_is_answered_with_its_context(t):
    """Contexts of 0 to 16 octets come back; on every side, under 3.0 and 3.1."""
    b = t.start()
    for where, kind in (("publishers", b"PUB"), ("subscribers", b"SUB"), ("producers", b"PUSH"),
                        ("consumers", b"PULL"), ("clients", b"DEALER"), ("workers", b"REP")):
        for version in ((3, 0), (3, 1)):
            peer = t.raw(b.port(where)).handshake(kind, version)
            for size in range(17):
                peer.send(ping(0, bytes(range(size))))
                equal(peer.command(b"PONG"), bytes(range(size)), f"context of {size} octets at {where}")
            peer.close()


@case()
def ping_inside_a_multipart_message(t):
    """PING between the frames of a message is answered, and the message arrives in one piece."""
    _, producer, consumer = raw_pair(t)
    producer.send(frame(b"one", MORE) + ping(0, b"a"))
    equal(producer.command(b"PONG"), b"a", "PONG before the message is complete")
    producer.send(frame(b"two" * 100, MORE) + ping(0, b"b") + ping(0, b"c") + frame(b"three"))
    equal(consumer.message(), [b"one", b"two" * 100, b"three"], "the message")
    got = producer.command(b"PONG")
    if got == b"b":
        got = producer.command(b"PONG")
    equal(got, b"c", "the newest PONG")  # of several that are owed only the newest has to come


@case()
def many_pings_in_one_segment(t):
    """1000 PINGs at once: the newest is answered, and the connection stays."""
    b, producer, consumer = raw_pair(t)
    producer.send(b"".join(ping(0, b"%d" % i) for i in range(1000)))
    last = -1
    while last != 999:
        now = int(producer.command(b"PONG"))
        need(now > last, f"PONG {now} came after {last}")
        last = now
    through(producer, consumer, [b"hello"], "a message afterwards")


@case()
def a_long_context_is_cut_or_refused(t):
    """The context has 16 octets at most: more is cut to 16, or the peer is closed. Never echoed whole."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for size in (17, 100, 250, 300, 60000):
        odd = t.raw(b.port("producers")).handshake(b"PUSH")
        odd.try_send(ping(0, b"x" * size))
        try:
            found = odd.poll_command(PATIENCE)
            equal(found and found.name, b"PONG", f"the answer to a context of {size} octets")
            equal(found.data, b"x" * 16, f"the echo of {size} octets")
        except Closed:
            pass
        honest.check()


@case(busbar=True)
def a_ping_without_ttl_is_refused(t):
    """PING with a body of 0 or 1 octets behind its name is broken: closed and counted."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for body in (b"", b"\0"):
        with refusal(b, "command"):
            odd = t.raw(b.port("producers")).handshake(b"PUSH")
            odd.try_send(command(b"PING", body))
            odd.closed("a short PING is refused")
        honest.check()


@case()
def unasked_pongs_are_ignored(t):
    """A PONG that nobody asked for changes nothing."""
    _, producer, consumer = raw_pair(t)
    for context in (b"", b"x", b"x" * 16, b"x" * 200):
        producer.send(command(b"PONG", context))
    through(producer, consumer, [b"hello"], "a message afterwards")


@case()
def unknown_commands_are_ignored(t):
    """Commands with names that we do not know, between messages and inside one."""
    _, producer, consumer = raw_pair(t)
    for name in (b"X", b"WHATEVER", b"JOIN", b"LEAVE", b"PINGX", b"PIN", b"ping", b"x" * 255):
        for data in (b"", b"data", b"d" * 300):
            odd = command(name, data)
            producer.send(odd + message(b"after") + frame(b"a", MORE) + odd + frame(b"b"))
            equal(consumer.message(), [b"after"], f"the message after {name!r}")
            equal(consumer.message(), [b"a", b"b"], f"the message around {name!r}")
    producer.pong()


@case(busbar=True)
def commands_never_reach_others(t):
    """Not a single octet of a command comes out at a consumer."""
    _, producer, consumer = raw_pair(t)
    producer.send(command(b"SECRET", b"x" * 100) + ping(0, b"y") + command(b"PONG", b"z") + message(b"only"))
    equal(consumer.octets(6), b"\0\4only", "all that comes out")


@case(busbar=True)
def broken_commands_are_refused(t):
    """A name that overruns the body, an empty body: closed and counted."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for body in (b"", b"\x05PIN", b"\xffPING"):
        with refusal(b, "command"):
            odd = t.raw(b.port("producers")).handshake(b"PUSH")
            odd.try_send(frame(body, COMMAND))
            odd.closed(f"a command with the body {body!r} is refused")
        honest.check()


@case()
def more_on_a_command(t):
    """MORE makes no sense on a command: ignored or refused, but no message is put together wrongly."""
    b, producer, consumer = raw_pair(t)
    honest_out = t.raw(b.port("producers")).handshake(b"PUSH")
    producer.try_send(command(b"WHATEVER", b"x", flags=MORE) + message(b"after"))
    through_or_closed = eventually(lambda: got_or_closed(producer, consumer), "the message, or the end of its sender")
    need(through_or_closed in ([b"after"], "closed"), f"{through_or_closed} came out")
    through(honest_out, consumer, [b"honest"], "another producer's message")


def got_or_closed(producer, consumer):
    got = consumer.poll_message(0.01)
    if got is not None:
        return got
    return None if producer.is_open() else "closed"


@case()
def subscribe_at_sides_that_take_none(t):
    """SUBSCRIBE from a PUSH or a PUB is ignored or refused; nobody else notices."""
    b = t.start()
    honest = Honest(t, b)
    for where, kind in (("producers", b"PUSH"), ("publishers", b"PUB"), ("clients", b"DEALER")):
        odd = t.raw(b.port(where)).handshake(kind)
        odd.try_send(subscribe(b"") + command(b"CANCEL", b"") + message(b"x"))
        if where == "producers":
            eventually(lambda o=odd: got_or_closed(o, honest.consumer), "the message or the end")
        honest.check()


@case()
def messages_from_a_consumer(t):
    """A PULL that sends messages, against its pattern: ignored or closed; the pipeline goes on."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    odd = t.raw(b.port("consumers")).handshake(b"PULL")
    odd.try_send(message(b"backwards", b"x") * 10)
    if b.is_busbar:
        odd.half_close()
        odd.closed("the odd consumer is gone")
        b.wait_peers("consumers", 1)
        honest.check()


@case()
def silence_after_a_ping_with_ttl(t):
    """A PING with ttl and then silence: closed after that time, not before."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    begin = time.monotonic()
    odd = t.raw(b.port("producers")).handshake(b"PUSH")
    odd.answer_pings = False
    odd.send(ping(10, b"x"))
    equal(odd.command(b"PONG"), b"x", "the context")
    odd.closed("the peer is closed after its ttl")
    need(time.monotonic() - begin >= 0.95, "the peer was closed before its ttl")
    honest.check()


@case()
def a_ping_without_a_time_to_live_promises_nothing(t):
    """ttl 0: silence afterwards is no reason to close."""
    b = t.start(pipeline())
    quiet = t.raw(b.port("producers")).handshake(b"PUSH")
    quiet.pong()
    limited = t.raw(b.port("producers")).handshake(b"PUSH").send(ping(5, b"x"))
    limited.closed("the other one with a ttl is closed")  # so half a second has passed
    need(quiet.is_open(), "the quiet peer was closed")
    through(quiet, t.raw(b.port("consumers")).handshake(b"PULL"), [b"still here"], "its message")


@case(busbar=True)
def our_heartbeats(t):
    """`heartbeat`: PINGs come in the interval; a peer that answers stays, a silent one is closed."""
    beat = {"heartbeat": {"interval": "200ms", "timeout": "1s"}}
    b = t.start(pipeline(beat, beat))
    alive = t.raw(b.port("producers")).handshake(b"PUSH")
    alive.answer_pings = False
    for _ in range(5):
        found = alive.poll_command(PATIENCE)
        need(found and found.name == b"PING", f"{found and found.name} came where a PING was due")
        need(2 <= len(found.data) <= 18, f"a PING with {len(found.data)} octets")
        alive.send(command(b"PONG", found.data[2:]))
    with refusal(b, "heartbeat_timeout"):
        begin = time.monotonic()
        silent = t.raw(b.port("producers")).handshake(b"PUSH")
        silent.answer_pings = False
        silent.closed("a silent peer is closed")
        need(time.monotonic() - begin > 0.95, "the silent peer was closed before the timeout")


@case(busbar=True)
def any_traffic_counts_as_life(t):
    """A peer that sends messages but never a PONG is alive."""
    beat = {"heartbeat": {"interval": "200ms", "timeout": "1s"}}
    b = t.start(pipeline(beat, beat))
    talker = t.raw(b.port("producers")).handshake(b"PUSH")
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    talker.answer_pings = False
    pings, n = 0, 0
    while pings < 10:  # so two seconds at least
        talker.send(message(b"%d" % n))
        equal(consumer.message(), [b"%d" % n], "a message")
        n += 1
        found = talker.poll_command(0.05)
        pings += found is not None and found.name == b"PING"


@case()
def pings_to_a_subscriber_with_messages_under_way(t):
    """PONGs stand between messages, never inside one."""
    b = t.start(pubsub(subscribers={"hwm": 0}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    sub = t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [sub], b"t")
    for i in range(200):
        pub.send(message(b"t", b"%d" % i, b"x" * 5000))
        sub.send(ping(0, b"%d" % i))
    inside = False
    pongs, messages = [], 0
    while messages < 200 or not pongs or pongs[-1] != b"199":
        one = sub.frame()
        if one.is_command:
            need(not inside, "a command came inside a message")
            pongs.append(one.data)
        else:
            inside = one.more
            messages += not one.more
