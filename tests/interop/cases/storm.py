# SPDX-License-Identifier: BSD-3-Clause
"""Many connections at once."""
import socket

import zmq

from harness.broker import pipeline, pubsub
from harness.case import case
from harness.traffic import Honest, join, must_take, put
from harness.wait import equal, eventually, need
from rawpeer import RawPeer, greeting, message, ready, subscribe


def storm(b, honest, count, hello, reset=False):
    """Open `count` connections at once, send `hello` on each, close them all."""
    peers = [RawPeer(b.port("producers")) for _ in range(count)]
    for peer in peers:
        peer.try_send(hello)
    honest.check()
    for peer in peers:
        if reset:
            peer.abort()
        else:
            peer.close()
    honest.check()


@case(timeout=180)
def a_thousand_connections_open_and_close(t):
    """1000 at once: silent, with half a greeting, with a whole handshake; closed and reset."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for hello in (b"", greeting()[:20], greeting(), greeting() + ready(b"PUSH")):
        for reset in (False, True):
            storm(b, honest, 1000, hello, reset)
    if b.is_busbar:
        b.wait_peers("producers", 1)


@case(timeout=180)
def connections_that_close_at_once(t):
    """5000 connections one after the other that say nothing at all."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for n in range(5000):
        RawPeer(b.port("producers")).close()
        if n % 500 == 0:
            honest.check()
    honest.check()


@case(timeout=180)
def a_thousand_subscribers(t):
    """1000 subscribers at once get 20 messages each."""
    b = t.start(pubsub(subscribers={"hwm": 0}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    subs = [t.raw(b.port("subscribers")).send(greeting()) for _ in range(1000)]
    for sub in subs:
        sub.read_greeting()
        sub.send(ready(b"SUB"))
    for sub in subs:
        sub.read_ready()
        sub.send(subscribe(b"t"))
    join([pub], subs, b"t")
    for i in range(20):
        put(pub, [b"t", b"%d" % i])
    for sub in subs:
        for i in range(20):
            equal(must_take(sub), [b"t", b"%d" % i], f"message {i}")


@case(timeout=180)
def five_hundred_stock_clients(t):
    """500 PUSH sockets of one program connect at once and send 10 messages each."""
    b = t.start(pipeline())
    consumer = t.sock(zmq.PULL, b.addr("consumers"))
    producers = [t.sock(zmq.PUSH, b.addr("producers")) for _ in range(500)]
    for i in range(10):
        for n, push in enumerate(producers):
            push.send_multipart([b"%d" % n, b"%d" % i])
    next_seq = [0] * 500
    for _ in range(5000):
        n, i = (int(part) for part in must_take(consumer))
        equal(i, next_seq[n], f"the next message of producer {n}")
        next_seq[n] += 1


@case(timeout=180)
def the_same_port_is_free_after_a_storm(t):
    """After a storm the broker stops cleanly and starts again on the same ports."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    storm(b, honest, 500, greeting() + ready(b"PUSH"))
    b.stop()
    probe = socket.socket()
    need(probe.connect_ex(("127.0.0.1", b.port("producers"))) != 0, "somebody still listens")
    probe.close()
    b.start()
    Honest(t, b).check()


@case(busbar=True)
def half_open_sessions_are_bounded(t):
    """3000 connections that never finish their greeting: the oldest make room, a good peer gets in."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    half = [t.raw(b.port("producers")).send(greeting()[:5]) for _ in range(3000)]
    honest.check()
    newcomer = t.raw(b.port("producers")).handshake(b"PUSH")
    newcomer.send(message(b"in"))
    equal(honest.consumer.message(), [b"in"], "the newcomer's message")
    eventually(lambda: sum(not peer.is_open() for peer in half) >= 3000 - 1024 * b.io_cores(),
               "the oldest half-open sessions are closed")
