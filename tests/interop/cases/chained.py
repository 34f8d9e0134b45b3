# SPDX-License-Identifier: BSD-3-Clause
"""Chains: libzmq's proxy before and behind the broker under test."""
import zmq

from harness import content
from harness.broker import pipeline, pubsub, reqrep
from harness.case import case
from harness.traffic import join, meet, must_take, take, through
from harness.wait import equal, need


def behind(t, b, pattern, front):
    """A libzmq proxy whose front connects to the broker; its back listens."""
    address = f"tcp://127.0.0.1:{t.ports.take()}"
    make = {"pubsub": pubsub, "pipeline": pipeline, "reqrep": reqrep}[pattern]
    t.start(make({"connect": [front], "hwm": 0}, {"bind": [address], "hwm": 0}), kind="zmq")
    return address


def before(t, pattern, back):
    """A libzmq proxy whose back connects to the broker; its front listens."""
    address = f"tcp://127.0.0.1:{t.ports.take()}"
    make = {"pubsub": pubsub, "pipeline": pipeline, "reqrep": reqrep}[pattern]
    t.start(make({"bind": [address], "hwm": 0}, {"connect": [back], "hwm": 0}), kind="zmq")
    return address


@case()
def pubsub_behind_and_before_a_proxy(t):
    """PUB - XSUB/XPUB - broker - XSUB/XPUB - SUB: subscriptions pass up, messages down."""
    b = t.start(pubsub(subscribers={"hwm": 0}))
    pub_address = before(t, "pubsub", b.addr("publishers"))
    sub_address = behind(t, b, "pubsub", b.addr("subscribers"))
    pub = t.sock(zmq.XPUB, pub_address)
    sub = t.sock(zmq.SUB, sub_address, subscribe=b"topic")
    equal(must_take(pub), [b"\1topic"], "the subscription through three brokers")
    for seq, size in enumerate(content.SIZES):
        through(pub, sub, content.message(seq, size, 2, b"topic"), f"{size} octets")
    for seq in range(5000):
        pub.send_multipart([b"topic", b"%d" % seq])
        pub.send_multipart([b"else", b"%d" % seq])
    for seq in range(5000):
        equal(must_take(sub), [b"topic", b"%d" % seq], f"message {seq}")
    sub.unsubscribe(b"topic")
    equal(must_take(pub), [b"\0topic"], "the cancel through three brokers")


@case()
def ordinary_and_chained_subscribers_together(t):
    """Subscribers at the broker and behind a proxy get the same."""
    b = t.start(pubsub(subscribers={"hwm": 0}))
    address = behind(t, b, "pubsub", b.addr("subscribers"))
    pub = t.sock(zmq.PUB, b.addr("publishers"))
    subs = [t.sock(zmq.SUB, a, subscribe=b"t") for a in (b.addr("subscribers"), address) for _ in range(3)]
    join([pub], subs, b"t")
    for seq in range(1000):
        pub.send_multipart([b"t", b"%d" % seq])
    for sub in subs:
        for seq in range(1000):
            equal(must_take(sub), [b"t", b"%d" % seq], f"message {seq}")


@case()
def pipeline_behind_and_before_a_proxy(t):
    """PUSH - PULL/PUSH - broker - PULL/PUSH - PULL: nothing lost, order kept."""
    b = t.start(pipeline())
    push = t.sock(zmq.PUSH, before(t, "pipeline", b.addr("producers")))
    pull = t.sock(zmq.PULL, behind(t, b, "pipeline", b.addr("consumers")))
    for seq, size in enumerate(content.SIZES):
        through(push, pull, content.message(seq, size, 2), f"{size} octets")
    for seq in range(5000):
        push.send(b"%d" % seq)
    for seq in range(5000):
        equal(must_take(pull), [b"%d" % seq], f"message {seq}")


@case()
def reqrep_behind_and_before_a_proxy(t):
    """REQ - ROUTER/DEALER - broker - ROUTER/DEALER - REP: three ids in the envelope."""
    b = t.start(reqrep())
    client_address = before(t, "reqrep", b.addr("clients"))
    worker_address = behind(t, b, "reqrep", b.addr("workers"))
    worker = t.sock(zmq.DEALER, worker_address)
    reqs = [t.sock(zmq.REQ, client_address) for _ in range(5)]
    for turn in range(20):
        for c, req in enumerate(reqs):
            req.send(b"%d.%d" % (c, turn))
        for _ in reqs:
            got = must_take(worker)
            need(got.index(b"") == 3, f"the envelope has {got.index(b'')} ids: {got}")
            worker.send_multipart(got)
        for c, req in enumerate(reqs):
            equal(must_take(req), [b"%d.%d" % (c, turn)], "the reply")


@case()
def two_brokers_in_a_row(t):
    """The broker under test twice, the second one connecting to the first."""
    b = t.start(pubsub(subscribers={"hwm": 0}), pipeline())
    c = t.start(pubsub({"connect": [b.addr("subscribers")]}, {"hwm": 0}),
                pipeline({"connect": [b.addr("consumers")]}))
    pub = t.sock(zmq.XPUB, b.addr("publishers"))
    sub = t.sock(zmq.SUB, c.addr("subscribers"), subscribe=b"t")
    equal(must_take(pub), [b"\1t"], "the subscription through both")
    push, pull = t.sock(zmq.PUSH, b.addr("producers")), t.sock(zmq.PULL, c.addr("consumers"))
    meet(push, [pull])
    for seq in range(1000):
        through(push, pull, [b"%d" % seq], "a pushed message")
        through(pub, sub, [b"t", b"%d" % seq], "a published message")
    equal(take(sub, 0), None, "further messages")
