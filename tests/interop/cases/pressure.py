# SPDX-License-Identifier: BSD-3-Clause
"""Slow and stalled peers: what is dropped, what waits, and that it is counted exactly."""
import time

import zmq

from harness import content
from harness.broker import pipeline, pubsub, reqrep
from harness.case import case
from harness.traffic import Flood, join, meet, monitor, must_take, put, settle, take
from harness.wait import PATIENCE, equal, eventually, need
from rawpeer import message, subscribe


def blocked(sock, seconds=1.0):
    """True if a socket cannot send for this long. If it can later nothing is wrong: it only waited."""
    return not sock.poll(int(seconds * 1000), zmq.POLLOUT)


def push_until_blocked(push, body, most):
    """Number messages until the socket takes no more; fails if it takes `most`."""
    sent = 0
    while True:
        try:
            push.send_multipart([b"%d" % sent, body], zmq.NOBLOCK)
            sent += 1
        except zmq.Again:
            if blocked(push):
                return sent
        need(sent < most, f"{sent} messages were taken with a stalled consumer")


@case()
def a_stalled_consumer_stops_the_producer(t):
    """Nobody reads: the producer blocks, nothing is lost, and all goes on when reading begins."""
    b = t.start(pipeline({"hwm": 100}, {"hwm": 100}))
    consumer = t.raw(b.port("consumers"), rcvbuf=8192).handshake(b"PULL")
    push = t.sock(zmq.PUSH, b.addr("producers"), sndhwm=100)
    sent = push_until_blocked(push, b"x" * 10000, 20000)  # 200 MB: more than all buffers on the way
    for i in range(sent):
        got = consumer.message()
        equal(got[0], b"%d" % i, "a message")
        equal(len(got[1]), 10000, "its size")
    for i in range(100):
        push.send_multipart([b"after", b"%d" % i])
        equal(consumer.message(), [b"after", b"%d" % i], "a message afterwards")


@case()
def a_stalled_consumer_does_not_stop_others(t):
    """With one of two consumers stalled, messages go to the other one."""
    b = t.start(pipeline({"hwm": 10}, {"hwm": 10}))
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    stalled = t.raw(b.port("consumers"), rcvbuf=4096).handshake(b"PULL")
    reader = t.raw(b.port("consumers")).handshake(b"PULL")
    meet(producer, [stalled, reader])
    got = 0
    for i in range(4000):
        producer.send(message(b"%d" % i, b"x" * 10000))  # 40 MB: the stalled one is full soon
        while reader.poll_message(0):
            got += 1
    while reader.poll_message(1):
        got += 1
    kept = 0
    while stalled.poll_message(1):
        kept += 1
    while reader.poll_message(0.2):
        got += 1
    equal(got + kept, 4000, "messages at both")
    need(got > kept, f"the reader got {got}, the stalled one {kept}")


@case()
def a_stalled_pipeline_does_not_stop_other_endpoints(t):
    """While a pipeline is blocked, pubsub and reqrep of the same node work."""
    b = t.start(pipeline({"hwm": 10}, {"hwm": 10}), pubsub(), reqrep())
    t.raw(b.port("consumers"), rcvbuf=4096).handshake(b"PULL")
    push = t.sock(zmq.PUSH, b.addr("producers"), sndhwm=10)
    push_until_blocked(push, b"x" * 10000, 20000)
    pub = t.sock(zmq.PUB, b.addr("publishers"))
    sub = t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"t")
    join([pub], [sub], b"t")
    req, rep = t.sock(zmq.REQ, b.addr("clients")), t.sock(zmq.REP, b.addr("workers"))
    for i in range(200):
        put(pub, [b"t", b"%d" % i])
        equal(must_take(sub), [b"t", b"%d" % i], "a publication")
        req.send(b"%d" % i)
        equal(must_take(rep), [b"%d" % i], "a request")
        rep.send(b"re")
        must_take(req)


@case()
def a_stalled_subscriber_does_not_stop_others(t):
    """A subscriber that reads nothing: the others get everything, the publisher never blocks."""
    b = t.start(pubsub(subscribers={"hwm": 1000 if t.busbar else 0}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    stalled = t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t"))
    reader = t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [stalled, reader], b"t")
    for i in range(5000):
        pub.send(message(b"t", b"%d" % i, b"x" * 5000))
        equal(reader.message()[1], b"%d" % i, "a message of the reader")
    last = -1
    while (got := stalled.poll_message(0.3)) is not None:
        need(int(got[1]) > last, "the stalled one's messages are out of order")
        equal(len(got[2]), 5000, "a message of the stalled one is whole")
        last = int(got[1])
    need(last >= 0, "the stalled one got nothing")


@case(busbar=True)
def drops_for_a_stalled_subscriber_are_exact(t):
    """
    `hwm: 10` and a subscriber that reads nothing: of N copies as many are dropped as neither the kernel
    nor the queue took, and when it reads at last it gets exactly the others, in order.
    """
    count, hwm = 3000, 10
    b = t.start(pubsub(subscribers={"hwm": hwm, "sndbuf": "16KiB"}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    stalled = t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [stalled], b"t")
    before = b.session(stalled)
    need(before.hwm_drops == 0, "drops before the stall")
    for i in range(count):
        pub.send(message(b"t", b"%d" % i, b"x" * 1000))
    pub.pong()
    b.quiet_counters()
    row = b.session(stalled)
    copies, sent = row.copies - before.copies, row.sent - before.sent
    queued, dropped = row.queued, row.hwm_drops
    equal(copies, count, "copies for this subscriber")
    equal(sent + queued + dropped, count, f"sent {sent} + queued {queued} + dropped {dropped}")
    equal(queued, hwm, "messages in the queue of a stalled subscriber")
    need(dropped > 0, "nothing was dropped")
    got = []
    while (one := stalled.poll_message(1)) is not None:
        equal(len(one[2]), 1000, "a message's size")
        got.append(int(one[1]))
    equal(len(got), sent + queued, "messages that arrive when it reads at last")
    equal(got, sorted(set(got)), "their order")
    equal(got[:sent], list(range(sent)), "what the kernel took before anything was dropped")
    row = b.session(stalled)
    equal(row.queued, 0, "queued after reading")
    settle(stalled, pub, lambda topic: stalled.send(subscribe(topic)))


@case(busbar=True)
def a_paced_load_drops_nothing_at_hwm_10(t):
    """`hwm: 10` with a fast reader: 2000 messages a second drop nothing."""
    b = t.start(pubsub(subscribers={"hwm": 10}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    sub = t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"t")
    join([pub], [sub], b"t")
    begin = time.monotonic()
    for i in range(6000):
        pub.send(message(b"t", b"%d" % i, b"x" * 40))
        ahead = begin + i / 2000 - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)  # the load's pace
    for i in range(6000):
        equal(must_take(sub)[1], b"%d" % i, "a message")
    equal(b.total("dropped_out_hwm"), 0, "drops at the high-water mark")


@case(busbar=True)
def hwm_1_never_blocks_for_ever(t):
    """`hwm: 1` on every side of every pattern: slow, perhaps, but everything arrives."""
    one = {"hwm": 1}
    b = t.start(pubsub(one, {"hwm": 1, "when_full": "block"}), pipeline(one, one), reqrep(one, one))
    push = [t.sock(zmq.PUSH, b.addr("producers")) for _ in range(3)]
    pull = [t.sock(zmq.PULL, b.addr("consumers")) for _ in range(3)]
    for i in range(1000):
        for p in push:
            p.send(b"%d" % i)
    got = 0
    poller = zmq.Poller()
    for p in pull:
        poller.register(p, zmq.POLLIN)
    while got < 3000:
        ready = poller.poll(int(PATIENCE * 1000))
        need(ready, f"{got} of 3000 messages came")
        for p, _ in ready:
            p.recv()
            got += 1
    dealer, worker = t.sock(zmq.DEALER, b.addr("clients")), t.sock(zmq.DEALER, b.addr("workers"))
    for i in range(500):
        dealer.send(b"%d" % i)
        worker.send_multipart(must_take(worker))
        equal(must_take(dealer), [b"%d" % i], "a reply")
    pub = t.sock(zmq.PUB, b.addr("publishers"))
    subs = [t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"t") for _ in range(3)]
    join([pub], subs, b"t")
    for i in range(1000):
        put(pub, [b"t", b"%d" % i])
    for sub in subs:
        for i in range(1000):
            equal(must_take(sub), [b"t", b"%d" % i], "a publication with `when_full: block`")


@case(busbar=True)
def block_stops_the_publisher_and_loses_nothing(t):
    """`when_full: block`: a stalled subscriber holds the publisher up; nothing is dropped for anyone."""
    b = t.start(pubsub(subscribers={"hwm": 10, "when_full": "block", "block_max": "300s", "sndbuf": "16KiB"}))
    pub = t.raw(b.port("publishers"), sndbuf=16384).handshake(b"PUB")
    stalled = t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t"))
    reader = t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [stalled, reader], b"t")
    pub.sock.setblocking(False)
    sent = Flood(pub, message(b"t", b"x" * 1000), 100000)
    need(sent.messages < 100000, "the publisher was never held up")
    pub.sock.setblocking(True)
    for _ in range(sent.messages):  # in turn: each holds the other up, too
        for sub in (stalled, reader):
            equal(sub.message(), [b"t", b"x" * 1000], "a message")
    if sent.rest:
        sent.finish(pub)
        for sub in (stalled, reader):
            sub.message()
    equal(b.total("dropped_out_hwm"), 0, "drops at the high-water mark")


@case(busbar=True, timeout=120)
def stalled_subscribers_cannot_take_all_memory(t):
    """
    32 MiB and no high-water marks: stalled subscribers lose copies for lack of memory, a reader loses nothing,
    and a pipeline beside them goes on.
    """
    unlimited = {"hwm": 0, "hwm_bytes": "0", "sndbuf": "16KiB"}
    b = t.start(pubsub(subscribers=unlimited), pipeline(), memory="32MiB")
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    stalled = [t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t")) for _ in range(3)]
    reader = t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t"))
    push, pull = t.sock(zmq.PUSH, b.addr("producers")), t.sock(zmq.PULL, b.addr("consumers"))
    join([pub], [*stalled, reader], b"t")
    for i in range(5000):  # 50 MB
        pub.send(message(b"t", b"%d" % i, b"x" * 10000))
        equal(reader.message()[1], b"%d" % i, "a message of the reader")
        if i % 100 == 0:
            put(push, [b"job %d" % i])
            equal(must_take(pull), [b"job %d" % i], "a message of the pipeline")
    need(b.total("dropped_out_memory") > 0, "nothing was dropped for lack of memory")


@case(busbar=True)
def disconnect_ends_a_stalled_subscriber(t):
    """`when_full: disconnect`: the stalled one is closed, the other gets everything."""
    b = t.start(pubsub(subscribers={"hwm": 10, "when_full": "disconnect", "sndbuf": "16KiB"}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    stalled = t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t"))
    reader = t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [stalled, reader], b"t")
    b.wait_peers("subscribers", 2)
    for i in range(3000):
        pub.send(message(b"t", b"%d" % i, b"x" * 1000))
        equal(reader.message()[1], b"%d" % i, "a message")
    b.wait_peers("subscribers", 1)
    stalled.closed("the stalled subscriber is closed")


@case(busbar=True)
def a_blocker_is_disconnected_after_block_max(t):
    """`block_max: 1s`: after that the stalled subscriber is closed and the publisher goes on."""
    b = t.start(pubsub(subscribers={"hwm": 10, "when_full": "block", "block_max": "1s", "sndbuf": "16KiB"}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    stalled = t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t"))
    reader = t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [stalled, reader], b"t")
    for i in range(3000):
        pub.send(message(b"t", b"%d" % i, b"x" * 1000))
        equal(reader.message()[1], b"%d" % i, "a message")
    stalled.closed("the stalled subscriber is closed")


@case(busbar=True)
def a_full_client_loses_only_its_own_replies(t):
    """ROUTER's rule: replies to a client that does not read are dropped as hwm; others get theirs."""
    b = t.start(reqrep({"hwm": 10, "sndbuf": "16KiB"}))
    worker = t.raw(b.port("workers")).handshake(b"DEALER")
    stalled = t.raw(b.port("clients"), rcvbuf=4096).handshake(b"DEALER", identity=b"stalled")
    reader = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"reader")
    for client in (stalled, reader):
        client.send(message(b"hello"))
        must_take(worker)
    for i in range(2000):
        worker.send(message(b"stalled", b"x" * 1000))
        worker.send(message(b"reader", b"%d" % i))
        equal(reader.message(), [b"%d" % i], "a reply")
    b.quiet_counters()
    row = b.session(stalled)
    need(row.hwm_drops > 0, "nothing was dropped for the stalled client")
    equal(row.sent + row.queued + row.hwm_drops, 2000, "replies for the stalled client")
    got = 0
    while stalled.poll_message(1):
        got += 1
    equal(got, row.sent + row.queued, "replies that it gets when it reads at last")


@case()
def stalled_workers_stop_the_clients(t):
    """All workers stalled: clients block, nothing is lost when the workers read again."""
    b = t.start(reqrep({"hwm": 100}, {"hwm": 100}))
    worker = t.raw(b.port("workers"), rcvbuf=8192).handshake(b"DEALER")
    dealer = t.sock(zmq.DEALER, b.addr("clients"), sndhwm=100)
    sent = push_until_blocked(dealer, b"x" * 10000, 20000)
    for i in range(sent):
        equal(worker.message()[1], b"%d" % i, "a request")


@case(busbar=True)
def hwm_bytes_limits_the_queue(t):
    """`hwm_bytes: 100KiB` with messages of 10 KiB: no more than that waits; drops are exact."""
    b = t.start(pubsub(subscribers={"hwm": 0, "hwm_bytes": "100KiB", "sndbuf": "16KiB"}))
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    stalled = t.raw(b.port("subscribers"), rcvbuf=4096).handshake(b"SUB").send(subscribe(b"t"))
    join([pub], [stalled], b"t")
    before = b.session(stalled)
    for _ in range(500):
        pub.send(message(b"t", b"x" * 10000))
    pub.pong()
    b.quiet_counters()
    row = b.session(stalled)
    equal(row.sent - before.sent + row.queued + row.hwm_drops, 500, "the account")
    wire = len(message(b"t", b"x" * 10000))
    full = 100 * 1024 // wire
    need(row.queued in (full, full + 1), f"{row.queued} messages in the queue")  # the first may be begun
    got = 0
    while stalled.poll_message(1):
        got += 1
    equal(got, row.sent - before.sent + row.queued, "messages that arrive")


def heartbeat_through_a_stall(t, interval, timeout, seconds):
    """A PUSH with heartbeats is blocked by a full consumer and must not think the broker dead."""
    b = t.start(pipeline({"hwm": 10}, {"hwm": 10}))
    consumer = t.raw(b.port("consumers"), rcvbuf=8192).handshake(b"PULL")
    push = t.sock(zmq.PUSH, heartbeat_ivl=interval, heartbeat_timeout=timeout, sndhwm=10)
    events = monitor(push)
    push.connect(b.addr("producers"))
    sent = push_until_blocked(push, b"x" * 10000, 20000)
    end = time.monotonic() + seconds
    while time.monotonic() < end:  # the stall has to last that long
        time.sleep(0.1)
    seen = events()
    need("DISCONNECTED" not in seen, f"the producer gave up: {seen}")
    for i in range(sent):
        equal(consumer.message()[0], b"%d" % i, "a message")
    push.send_multipart([b"after", b""])
    equal(consumer.message(), [b"after", b""], "a message afterwards")
    equal(consumer.poll_message(0.2), None, "a message too many")
    seen += events()
    equal(seen.count("HANDSHAKE_SUCCEEDED"), 1, f"handshakes of the producer ({seen})")


@case(busbar=True)
def heartbeats_go_on_through_a_short_stall(t):
    """A PUSH with HEARTBEAT_IVL 100, TIMEOUT 300, blocked for 2 s: no reconnect, nothing lost or twice."""
    heartbeat_through_a_stall(t, 100, 300, 2)


@case(busbar=True, long=True)
def heartbeats_go_on_through_a_long_stall(t):
    """A PUSH with HEARTBEAT_IVL 200, TIMEOUT 600, blocked for 10 s: no reconnect, nothing lost or twice."""
    heartbeat_through_a_stall(t, 200, 600, 10)


@case()
def large_messages_to_many_subscribers(t):
    """20 subscribers share 16 MiB messages; memory for one of each is enough."""
    b = t.start(pubsub(subscribers={"hwm": 4}))
    pub = t.sock(zmq.PUB, b.addr("publishers"))
    subs = [t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"t", rcvhwm=2) for _ in range(20)]
    join([pub], subs, b"t")
    for seq in range(3):
        frames = content.message(seq, 16 * content.MIB, 1, b"t")
        put(pub, frames)
        for sub in subs:
            content.check(must_take(sub), frames, "16 MiB")


@case()
def producers_share_a_slow_consumer(t):
    """Three producers that flood one slow consumer: none is starved."""
    b = t.start(pipeline({"hwm": 100}, {"hwm": 100}))
    consumer = t.raw(b.port("consumers"), rcvbuf=16384).handshake(b"PULL")
    producers = [t.sock(zmq.PUSH, b.addr("producers"), sndhwm=10) for _ in range(3)]
    body, seen = b"x" * 5000, [0, 0, 0]
    sent = [0, 0, 0]

    def flood():
        for n, push in enumerate(producers):
            try:
                while sent[n] < 3000:
                    push.send_multipart([b"%d" % n, b"%d" % sent[n], body], zmq.NOBLOCK)
                    sent[n] += 1
            except zmq.Again:
                pass

    while sum(seen) < 9000:
        flood()
        got = take(consumer, 0.05)
        if got is None:
            continue
        n = int(got[0])
        equal(int(got[1]), seen[n], f"the next message of producer {n}")
        seen[n] += 1
        if sum(seen) == 4500:
            need(min(seen) > 500, f"half-way the producers got {seen} through")
    equal(seen, [3000] * 3, "messages of the producers")


@case()
def a_stall_that_ends_leaves_no_trace(t):
    """Stall and read again ten times: nothing lost, nothing twice."""
    b = t.start(pipeline({"hwm": 50}, {"hwm": 50}))
    consumer = t.raw(b.port("consumers"), rcvbuf=8192).handshake(b"PULL")
    push = t.sock(zmq.PUSH, b.addr("producers"), sndhwm=50)
    expected = seq = 0
    for _ in range(10):
        for _ in range(400):
            try:
                push.send_multipart([b"%d" % seq, b"x" * 3000], zmq.NOBLOCK)
                seq += 1
            except zmq.Again:
                break
        for _ in range((seq - expected) // 2):
            equal(consumer.message()[0], b"%d" % expected, "a message")
            expected += 1
    while expected < seq:
        equal(consumer.message()[0], b"%d" % expected, "a message")
        expected += 1
    eventually(lambda: consumer.poll_message(0.1) is None, "nothing more comes")
