# SPDX-License-Identifier: BSD-3-Clause
"""Traffic that many tests need: fences, pairs that must not notice anything, messages with proof."""
import itertools
import select
import time
from contextlib import contextmanager

import zmq.utils.monitor

from harness import content
from harness.wait import Fail, PATIENCE, eventually, need
from rawpeer import RawPeer, message

unique = itertools.count()


def take(peer, seconds):
    """One message of a pyzmq socket or a raw peer as a list of frames, or None."""
    if isinstance(peer, RawPeer):
        return peer.poll_message(seconds)
    if not peer.poll(max(0, int(seconds * 1000))):
        return None
    return peer.recv_multipart()


def must_take(peer, what="a message"):
    got = take(peer, PATIENCE)
    if got is None:
        raise Fail(f"{what} did not come")
    return got


def put(peer, frames):
    if isinstance(peer, RawPeer):
        peer.send(message(*frames))
    else:
        peer.send_multipart(frames)


def join(publishers, subscribers, prefix=b""):
    """
    Wait until everything that is published on a topic with this prefix reaches every subscriber, and
    leave their queues empty. Every subscriber must have subscribed to the prefix or a part of it.

    The subscription must not have been held by a subscriber that is gone by now: its cancel may still
    be on the way to publishers, and stop the next message there before the new subscription comes.
    """
    for pub in publishers:
        token = prefix + b"\0join%d." % next(unique)
        missing = list(subscribers)
        deadline = time.monotonic() + PATIENCE
        while missing:
            put(pub, [token + b"go"])
            for sub in list(missing):
                got = take(sub, 0.02)
                if got and got[0].startswith(token):
                    missing.remove(sub)
            need(time.monotonic() < deadline, f"{len(missing)} of {len(subscribers)} subscribers are not reached")
        put(pub, [token + b"end"])
        for sub in subscribers:
            while must_take(sub, "the end of the join")[0] != token + b"end":
                pass


def settle(sub, pub, add):
    """
    Make sure that all subscription changes which `sub` sent so far are in force: add(topic) sends one
    more, and changes are handled in order, so once that topic comes through the others are done too.
    """
    topic = b"\0settle%d" % next(unique)
    add(topic)
    join([pub], [sub], topic)


def through(sender, receiver, frames, what):
    """Send one message and check what the receiver gets."""
    put(sender, frames)
    content.check(must_take(receiver, what), frames, what)


def meet(sender, receivers, tag=b"warm"):
    """
    Send until each consumer (or worker that only receives) had one message; then take what is left.
    After this all of them take part in the rotation.
    """
    token = b"%s%d" % (tag, next(unique))
    missing, sent, got = set(range(len(receivers))), 0, 0
    deadline = time.monotonic() + PATIENCE
    while missing:
        if sent == got:
            put(sender, [token])
            sent += 1
        for i, receiver in enumerate(receivers):
            if take(receiver, 0.001):
                missing.discard(i)
                got += 1
        need(time.monotonic() < deadline, f"{len(missing)} of {len(receivers)} consumers get nothing")
    while got < sent:
        got += sum(take(receiver, 0.001) is not None for receiver in receivers)
        need(time.monotonic() < deadline, f"{sent - got} messages of the warm-up are lost")


class Honest:
    """
    A well-behaved producer and consumer that stay connected through a test and must notice nothing
    of what happens beside them. Raw peers, so that a reconnect cannot hide a broken connection.
    """

    def __init__(self, test, broker, front="producers", back="consumers"):
        self.producer = test.raw(broker.port(front)).handshake(b"PUSH")
        self.consumer = test.raw(broker.port(back)).handshake(b"PULL")
        self.count = 0
        meet(self.producer, [self.consumer])

    def check(self, messages=3):
        for _ in range(messages):
            self.count += 1
            through(self.producer, self.consumer, [b"honest", b"%d" % self.count], "an honest pair's message")


@contextmanager
def refusal(broker, *causes, at_least=1):
    """The counters of these causes together must move by at_least within the block."""
    before = broker.refused(causes)
    yield
    if before is None:
        return

    def moved():
        return broker.refused(causes) - before >= at_least
    eventually(moved, f"the refusal counter for {' or '.join(causes)} moves by {at_least}")


def monitor(sock):
    """A monitor of a pyzmq socket: drain() returns the names of events since the last call."""
    watch = sock.get_monitor_socket()

    def drain():
        events = []
        while watch.poll(0):
            number = zmq.utils.monitor.recv_monitor_message(watch)["event"]
            events.append(zmq.Event(number).name)
        return events
    return drain


class Flood:
    """
    Sends one message again and again on a raw peer whose socket does not block, until the broker takes
    no more for a second or `most` are sent. It may stop inside a message: finish() sends the rest.
    """

    def __init__(self, peer, octets, most):
        self.messages, self.rest = 0, b""
        last = time.monotonic()
        while self.messages < most and time.monotonic() - last < 1.0:
            if not select.select([], [peer.sock], [], 0.05)[1]:
                continue
            try:
                done = peer.sock.send(self.rest or octets)
            except BlockingIOError:
                continue
            last = time.monotonic()
            self.rest = (self.rest or octets)[done:]
            self.messages += not self.rest

    def finish(self, peer):
        """Send the rest of the message that was begun."""
        if self.rest:
            peer.sock.sendall(self.rest)
            self.messages += 1
            self.rest = b""
