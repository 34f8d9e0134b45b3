# SPDX-License-Identifier: BSD-3-Clause
"""PUSH and PULL through `pipeline`."""
import zmq

from harness import content
from harness.broker import pipeline
from harness.case import bind_when_free, case
from harness.traffic import meet, must_take, take, through
from harness.wait import PATIENCE, equal, eventually, need
from rawpeer import message


def pair(t, **settings):
    b = t.start(pipeline(**settings))
    return b, t.sock(zmq.PUSH, b.addr("producers")), t.sock(zmq.PULL, b.addr("consumers"))


@case()
def every_size_in_one_frame(t):
    """Frames of every awkward size arrive octet for octet."""
    _, push, pull = pair(t)
    for seq, size in enumerate(content.SIZES):
        through(push, pull, content.message(seq, size), f"{size} octets")


@case()
def every_size_in_two_frames(t):
    """Two frames of every awkward size stay one message."""
    _, push, pull = pair(t)
    for seq, size in enumerate(content.SIZES):
        through(push, pull, content.message(seq, size, 2), f"2 x {size} octets")


@case()
def every_size_in_a_hundred_frames(t):
    """A hundred frames stay one message."""
    _, push, pull = pair(t)
    for seq, size in enumerate(content.SIZES_SMALL):
        through(push, pull, content.message(seq, size, 100), f"100 x {size} octets")


@case()
def frames_of_mixed_size_in_one_message(t):
    """Empty, short and long frames side by side in one message."""
    _, push, pull = pair(t)
    sizes = [0, 256, 1, 65536, 0, 255, 8192, 0, content.MIB, 0]
    for seq in range(5):
        frames = [content.frame(seq, i, size) for i, size in enumerate(sizes)]
        through(push, pull, frames, "frames of mixed size")


@case()
def a_stream_of_small_messages_keeps_its_order(t):
    """50,000 messages sent at once arrive completely and in order."""
    _, push, pull = pair(t)
    for seq in range(50000):
        push.send(b"%d" % seq)
    for seq in range(50000):
        equal(pull.recv(), b"%d" % seq, f"message {seq}")


@case()
def many_producers_and_consumers(t):
    """8 producers and 8 consumers: nothing lost or twice, order kept per pair."""
    b = t.start(pipeline())
    producers = [t.sock(zmq.PUSH, b.addr("producers")) for _ in range(8)]
    consumers = [t.sock(zmq.PULL, b.addr("consumers")) for _ in range(8)]
    meet(producers[0], consumers)
    for seq in range(2000):
        for p, push in enumerate(producers):
            push.send_multipart([b"%d" % p, b"%d" % seq])
    seen, last = set(), {}
    poller = zmq.Poller()
    for pull in consumers:
        poller.register(pull, zmq.POLLIN)
    while len(seen) < 16000:
        ready = poller.poll(int(PATIENCE * 1000))
        need(ready, f"{len(seen)} of 16000 messages came")
        for pull, _ in ready:
            p, seq = (int(part) for part in pull.recv_multipart())
            need((p, seq) not in seen, f"message {seq} of producer {p} came twice")
            need(last.get((p, pull), -1) < seq, f"message {seq} of producer {p} came out of order")
            last[p, pull] = seq
            seen.add((p, seq))
    need(all(take(pull, 0) is None for pull in consumers), "more messages came than were sent")
    need(len({pull for _, pull in last}) == 8, "a consumer got nothing")


@case()
def ten_messages_in_one_segment_go_to_ten_consumers(t):
    """Rotation is per message: one segment with ten messages serves ten idle consumers."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumers = [t.sock(zmq.PULL, b.addr("consumers")) for _ in range(10)]
    meet(producer, consumers)
    for turn in range(5):
        producer.send(b"".join(message(b"%d.%d" % (turn, i)) for i in range(10)))
        got = [must_take(pull, f"turn {turn}: the message of consumer {i}") for i, pull in enumerate(consumers)]
        equal(sorted(got), sorted([b"%d.%d" % (turn, i)] for i in range(10)), "one message each")


@case()
def rotation_goes_a_b_c_a(t):
    """Messages sent one by one visit three consumers in a fixed circle."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumers = [t.raw(b.port("consumers")).handshake(b"PULL") for _ in range(3)]
    meet(producer, consumers)
    order = []
    for i in range(10):
        producer.send(message(b"R%d" % i))
        who = eventually(lambda: [n for n, c in enumerate(consumers) if take(c, 0.001)], f"R{i} arrives")
        order += who
    equal(sorted(order[:3]), [0, 1, 2], "the first three go to three consumers")
    equal(order, (order[:3] * 4)[:10], "the circle")


@case()
def rotation_is_shared_by_producers(t):
    """Two producers in turn: the consumers are still visited in one circle."""
    b = t.start(pipeline())
    producers = [t.raw(b.port("producers")).handshake(b"PUSH") for _ in range(2)]
    consumers = [t.raw(b.port("consumers")).handshake(b"PULL") for _ in range(3)]
    for producer in producers:
        meet(producer, consumers)
    order = []
    for i in range(12):
        producers[i % 2].send(message(b"R%d" % i))
        order += eventually(lambda: [n for n, c in enumerate(consumers) if take(c, 0.001)], f"R{i} arrives")
    equal(order, (order[:3] * 4)[:12], "the circle")


@case()
def messages_wait_for_the_first_consumer(t):
    """What is pushed while nobody pulls is kept, not dropped."""
    b = t.start(pipeline())
    push = t.sock(zmq.PUSH, b.addr("producers"))
    for seq in range(100):
        push.send_multipart(content.message(seq, 100, 2))
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    producer.send(message(b"raw")).pong()  # read by the broker, with no consumer to be seen
    pull = t.sock(zmq.PULL, b.addr("consumers"))
    seq = 0
    for _ in range(101):
        got = must_take(pull, f"message {seq}")
        if got != [b"raw"]:
            content.check(got, content.message(seq, 100, 2), f"message {seq}")
            seq += 1
    equal(seq, 100, "messages of the first producer")


@case()
def one_large_message_does_not_stop_the_others(t):
    """While a 16 MiB message is half sent, other producers' messages pass."""
    b = t.start(pipeline())
    slow = t.raw(b.port("producers")).handshake(b"PUSH")
    quick = t.sock(zmq.PUSH, b.addr("producers"))
    pull = t.sock(zmq.PULL, b.addr("consumers"))
    large = content.frame(0, 0, 16 * content.MIB)
    octets = message(large)
    slow.send(octets[:8 * content.MIB])
    for i in range(100):
        through(quick, pull, [b"quick%d" % i], "a small message")
    slow.send(octets[8 * content.MIB:])
    content.check(must_take(pull, "the large one"), [large], "the large one")


@case()
def an_unfinished_message_is_never_delivered(t):
    """A producer that dies inside a multipart message leaves no piece of it behind."""
    b = t.start(pipeline())
    pull = t.sock(zmq.PULL, b.addr("consumers"))
    for cut in (1, 5, 300, 70000):
        torn = t.raw(b.port("producers")).handshake(b"PUSH")
        torn.send(message(b"whole"))
        torn.send(message(b"torn", content.frame(0, 0, 70000), b"end")[:cut])
        torn.close()
        equal(must_take(pull), [b"whole"], "the complete message")
    push = t.sock(zmq.PUSH, b.addr("producers"))
    through(push, pull, [b"after"], "the next message")


@case()
def ipv6_loopback(t):
    """The same over IPv6."""
    port_in, port_out = t.ports.take(), t.ports.take()
    t.start(pipeline({"bind": [f"tcp://[::1]:{port_in}"]}, {"bind": [f"tcp://[::1]:{port_out}"]}))
    push = t.sock(zmq.PUSH, f"tcp://[::1]:{port_in}", ipv6=1)
    pull = t.sock(zmq.PULL, f"tcp://[::1]:{port_out}", ipv6=1)
    through(push, pull, [b"six"], "a message over IPv6")


@case()
def two_addresses_on_one_side(t):
    """A side that listens twice serves both."""
    ports = [t.ports.take() for _ in range(2)]
    b = t.start(pipeline({"bind": [f"tcp://127.0.0.1:{port}" for port in ports]}))
    pull = t.sock(zmq.PULL, b.addr("consumers"))
    for port in ports:
        through(t.sock(zmq.PUSH, f"tcp://127.0.0.1:{port}"), pull, [b"%d" % port], f"port {port}")


@case()
def sides_that_connect(t):
    """The broker connects to a PUSH and a PULL that listen, and finds them again when they come back."""
    front, back = (f"tcp://127.0.0.1:{t.ports.take()}" for _ in range(2))
    t.start(pipeline({"connect": [front]}, {"connect": [back]}))
    for turn in range(3):
        push, pull = t.sock(zmq.PUSH), t.sock(zmq.PULL)
        bind_when_free(push, front)
        bind_when_free(pull, back)
        for i in range(100):
            through(push, pull, [b"%d.%d" % (turn, i)], f"message {i} of turn {turn}")
        push.close()
        pull.close()
