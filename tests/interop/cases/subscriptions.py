# SPDX-License-Identifier: BSD-3-Clause
"""Subscriptions as publishers see them: first subscribe, last cancel, and in which form."""
import zmq

from harness.broker import pubsub
from harness.case import case
from harness.traffic import join, must_take, put, take
from harness.wait import equal, need
from rawpeer import cancel, command, greeting, message, ready, subscribe


def seen_until(pub, fence):
    """All subscription changes that reach a raw publisher before the one of the topic `fence`."""
    seen = []
    while True:
        one = pub.subscription()
        need(one is not None, f"{fence!r} never came upstream; before it: {seen}")
        if one[1] == fence:
            return seen
        seen.append(one[:2])


def raw_pub(t, b, version=(3, 1), kind=b"PUB"):
    return t.raw(b.port("publishers")).handshake(kind, version)


def raw_sub(t, b, version=(3, 1), kind=b"SUB"):
    return t.raw(b.port("subscribers")).handshake(kind, version)


@case()
def first_subscribe_and_last_cancel_go_upstream(t):
    """A publisher sees the first subscription to a topic and the last cancel, nothing between."""
    b = t.start(pubsub(subscribe="forward"))
    pub, one, two = raw_pub(t, b), raw_sub(t, b), raw_sub(t, b)
    one.send(subscribe(b"a") + subscribe(b"f1"))
    equal(seen_until(pub, b"f1"), [(True, b"a")], "after the first subscribe")
    two.send(subscribe(b"a") + subscribe(b"f2"))
    equal(seen_until(pub, b"f2"), [], "after the second subscribe")
    one.send(cancel(b"a") + subscribe(b"f3"))
    equal(seen_until(pub, b"f3"), [], "after the first cancel")
    two.send(cancel(b"a") + subscribe(b"f4"))
    equal(seen_until(pub, b"f4"), [(False, b"a")], "after the last cancel")


@case()
def every_publisher_sees_them(t):
    """Three publishers see the same changes; a fourth that comes later sees what is in force."""
    b = t.start(pubsub())
    pubs = [raw_pub(t, b) for _ in range(3)]
    sub = raw_sub(t, b)
    sub.send(subscribe(b"a") + subscribe(b"b") + cancel(b"a") + subscribe(b"f1"))
    for pub in pubs:
        equal(seen_until(pub, b"f1"), [(True, b"a"), (True, b"b"), (False, b"a")], "changes")
    late = raw_pub(t, b)
    sub.send(subscribe(b"f2"))
    got = seen_until(late, b"f2")
    equal(sorted(got), [(True, b"b"), (True, b"f1")], "what a late publisher is told")


@case()
def a_subscriber_that_goes_cancels_all_it_had(t):
    """Close, RST and half-close of a subscriber: its topics are cancelled upstream, shared ones are not."""
    b = t.start(pubsub())
    pub, stays = raw_pub(t, b), raw_sub(t, b)
    stays.send(subscribe(b"shared") + subscribe(b"f0"))
    seen_until(pub, b"f0")
    for how in ("close", "abort", "half_close"):
        goes = raw_sub(t, b)
        goes.send(subscribe(b"shared") + subscribe(b"x") + subscribe(b"y") + subscribe(b"f" + how.encode()))
        seen_until(pub, b"f" + how.encode())
        getattr(goes, how)()
        cancelled = set()
        while len(cancelled) < 3:
            one = pub.subscription()
            need(one is not None, f"after {how} only {cancelled} were cancelled")
            need(not one[0] and one[1] != b"shared", f"{one} came upstream")
            cancelled.add(one[1])
        equal(cancelled, {b"x", b"y", b"f" + how.encode()}, f"cancelled by {how}")


@case()
def a_socket_that_unsubscribes_is_seen_upstream(t):
    """Stock sockets: SUB subscribes and unsubscribes, an XPUB sees both."""
    b = t.start(pubsub())
    pub = t.sock(zmq.XPUB, b.addr("publishers"))
    sub = t.sock(zmq.SUB, b.addr("subscribers"))
    for topic in (b"a", b"", b"x" * 300, b"\0\xff"):
        sub.subscribe(topic)
        equal(must_take(pub), [b"\1" + topic], "subscribe")
        sub.unsubscribe(topic)
        equal(must_take(pub), [b"\0" + topic], "cancel")


@case(busbar=True)
def subscribe_all_hides_subscriptions_from_publishers(t):
    """With `subscribe: all` a publisher gets one empty subscription, whatever subscribers do."""
    b = t.start(pubsub(subscribe="all"))
    pub = raw_pub(t, b)
    equal(pub.subscription()[:2], (True, b""), "the subscription to everything")
    subs = [raw_sub(t, b) for _ in range(2)]
    for sub in subs:
        sub.send(subscribe(b"a") + subscribe(b"b"))
    join([pub], subs, b"a")
    subs[0].send(cancel(b"a") + subscribe(b"c"))
    join([pub], [subs[0]], b"c")
    subs[1].close()
    pub.pong()
    equal(pub.subscription(0), None, "further changes upstream")
    pub.send(message(b"b", b"x"))
    equal(must_take(subs[0]), [b"b", b"x"], "filtering goes on behind")


@case(busbar=True)
def the_form_upstream_follows_the_publishers_version(t):
    """SUBSCRIBE and CANCEL commands to a 3.1 publisher, messages with 1 and 0 to a 3.0 one."""
    b = t.start(pubsub())
    for version, form in (((3, 1), "command"), ((3, 0), "message"), ((4, 0), "command")):
        pub, sub = raw_pub(t, b, version), raw_sub(t, b)
        for topic in (b"short", b"", *(b"x" * size for size in (245, 246, 248, 249, 254, 255, 256, 300, 60000))):
            sub.send(subscribe(topic))
            equal(pub.subscription(), (True, topic, form), f"subscribe to a publisher of {version}")
            sub.send(cancel(topic))
            equal(pub.subscription(), (False, topic, form), f"cancel to a publisher of {version}")
        pub.close()
        sub.close()


@case()
def both_forms_are_taken_from_every_version(t):
    """Subscribers of 3.0 and 3.1 may use the command and the message form."""
    b = t.start(pubsub())
    pub = raw_pub(t, b)
    forms = {"command": (subscribe, cancel),
             "message": (lambda topic: message(b"\1" + topic), lambda topic: message(b"\0" + topic))}
    for version in ((3, 0), (3, 1)):
        for name, (add, remove) in forms.items():
            for kind in (b"SUB", b"XSUB"):
                sub = raw_sub(t, b, version, kind)
                for topic in (b"a", b"", *(b"x" * size for size in (245, 246, 249, 254, 255, 256, 60000))):
                    sub.send(add(topic))
                    equal(pub.subscription()[:2], (True, topic), f"{name} of {version}")
                    pub.send(message(topic + b".", b"body"))
                    equal(must_take(sub), [topic + b".", b"body"], f"delivery to {name} of {version}")
                    sub.send(remove(topic))
                    equal(pub.subscription()[:2], (False, topic), f"{name} of {version}")
                sub.close()


@case()
def forms_may_be_mixed(t):
    """A subscription in one form is cancelled in the other."""
    b = t.start(pubsub())
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    sub.send(subscribe(b"a") + message(b"\1b") + subscribe(b"f1"))
    equal(seen_until(pub, b"f1"), [(True, b"a"), (True, b"b")], "subscribed")
    sub.send(message(b"\0a") + cancel(b"b") + subscribe(b"f2"))
    equal(seen_until(pub, b"f2"), [(False, b"a"), (False, b"b")], "cancelled")


@case()
def subscriptions_arrive_octet_by_octet(t):
    """SUBSCRIBE in both forms, one octet in each segment, long and short length form."""
    b = t.start(pubsub())
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    octets = (subscribe(b"a") + message(b"\1b") + command(b"SUBSCRIBE", b"c", long=True) +
              message(b"\1d", long=True) + command(b"CANCEL", b"a", long=True) + subscribe(b"f"))
    sub.send(octets, piece=1)
    equal(seen_until(pub, b"f"), [(True, b"a"), (True, b"b"), (True, b"c"), (True, b"d"), (False, b"a")], "changes")


@case()
def subscriptions_in_one_segment_with_the_handshake(t):
    """Greeting, READY and subscriptions in one segment."""
    b = t.start(pubsub())
    pub = raw_pub(t, b)
    sub = t.raw(b.port("subscribers"))
    topics = subscribe(b"a") + subscribe(b"f")
    sub.send(greeting() + ready(b"SUB") + (topics if b.is_busbar else b""))
    sub.read_greeting()
    sub.read_ready()
    if not b.is_busbar:  # libzmq takes nothing before its own READY is out
        sub.send(topics)
    equal(seen_until(pub, b"f"), [(True, b"a")], "the subscription")
    pub.send(message(b"a", b"x"))
    equal(must_take(sub), [b"a", b"x"], "a delivery")


@case()
def a_thousand_changes_in_one_segment(t):
    """Subscribe and cancel of 500 topics at once end where they should."""
    b = t.start(pubsub({"hwm": 0}, {"hwm": 0}))
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    octets = b"".join(subscribe(b"/%d/" % i) for i in range(500))
    octets += b"".join(cancel(b"/%d/" % i) for i in range(500) if i % 3)
    sub.send(octets + subscribe(b"f"))
    state = set()
    for added, topic in seen_until(pub, b"f"):
        (state.add if added else state.discard)(topic)
    equal(state, {b"/%d/" % i for i in range(0, 500, 3)}, "what is in force upstream")
    for i in range(500):
        put(pub, [b"/%d/" % i])
    put(pub, [b"f"])
    got = []
    while (one := must_take(sub)) != [b"f"]:
        got.append(one[0])
    equal(got, [b"/%d/" % i for i in range(0, 500, 3)], "what is delivered")


@case()
def a_repeated_subscription_delivers_one_copy(t):
    """Two SUBSCRIBE for one topic on the wire: still one copy of each message."""
    b = t.start(pubsub())
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    sub.send(subscribe(b"a") * 3 + subscribe(b"f"))
    equal(seen_until(pub, b"f"), [(True, b"a")], "upstream")
    pub.send(message(b"a1") + message(b"a2") + message(b"f"))
    equal([must_take(sub) for _ in range(3)], [[b"a1"], [b"a2"], [b"f"]], "deliveries")


@case()
def one_cancel_on_the_wire_ends_a_repeated_subscription(t):
    """
    SUBSCRIBE, SUBSCRIBE, CANCEL for one topic leaves none: a stock SUB counts by itself, sends every
    subscribe but only the last cancel. A broker that counted per peer would keep the topic for ever.
    """
    b = t.start(pubsub())
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    sub.send(subscribe(b"a") * 2 + cancel(b"a") + subscribe(b"f"))
    equal(seen_until(pub, b"f"), [(True, b"a"), (False, b"a")], "upstream")
    pub.send(message(b"a1") + message(b"f"))
    equal(must_take(sub), [b"f"], "the first delivery")


@case()
def subscriptions_do_not_count_against_the_hwm(t):
    """5000 subscriptions at an endpoint with `hwm: 1` all come into force."""
    b = t.start(pubsub({"hwm": 1 if t.busbar else 0}, {"hwm": 1 if t.busbar else 0}))
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    sub.send(b"".join(subscribe(b"/%d/" % i) for i in range(5000)) + subscribe(b"f"))
    equal(len(set(seen_until(pub, b"f"))), 5000, "subscriptions upstream")
    for i in range(0, 5000, 50):
        put(pub, [b"/%d/" % i])
        equal(must_take(sub), [b"/%d/" % i], "a delivery")


@case()
def a_publisher_that_does_not_read_stalls_nobody(t):
    """Subscription changes for a publisher that never reads do not pile up in the way of others."""
    b = t.start(pubsub({"hwm": 0}, {"hwm": 0}))
    deaf = t.raw(b.port("publishers"), rcvbuf=4096).handshake(b"PUB")
    pub, sub = raw_pub(t, b), raw_sub(t, b)
    for turn in range(20):
        topics = [b"%d.%d." % (turn, i) + b"x" * 1000 for i in range(200)]
        sub.send(b"".join(subscribe(topic) for topic in topics) + subscribe(b"f%d" % turn))
        equal(len(seen_until(pub, b"f%d" % turn)), 200, "seen by the publisher that reads")
        sub.send(b"".join(cancel(topic) for topic in topics) + subscribe(b"g%d" % turn))
        equal(len(seen_until(pub, b"g%d" % turn)), 200, "seen by the publisher that reads")
    deaf.send(message(b"f1", b"from the deaf one"))
    equal(must_take(sub), [b"f1", b"from the deaf one"], "a message of the publisher that does not read")
    state = set()  # it reads at last: it may have missed cancels, but no topic
    wanted = {b"%c%d" % (c, i) for c in b"fg" for i in range(20)}
    while not wanted <= state:
        one = deaf.subscription()
        need(one is not None, f"the late reader misses {len(wanted - state)} topics")
        (state.add if one[0] else state.discard)(one[1])
    equal(take(sub, 0), None, "further messages")
