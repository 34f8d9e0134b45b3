# SPDX-License-Identifier: BSD-3-Clause
"""Peers that are killed, reset and come back; the broker that goes and comes back."""
import os
import signal
import time

import zmq

from harness.broker import pipeline, pubsub, reqrep
from harness.case import case
from harness.relay import Relay
from harness.traffic import Flood, join, meet, must_take, put, take, through, unique
from harness.wait import PATIENCE, Fail, equal, eventually, need
from rawpeer import message, subscribe


@case()
def killed_subscribers_disturb_nobody(t):
    """Subscribers end by close, RST and SIGKILL in the middle of a stream; the others miss nothing."""
    b = t.start(pubsub(subscribers={"hwm": 0}))
    pub = t.sock(zmq.PUB, b.addr("publishers"))
    steady = [t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"t") for _ in range(2)]
    guests = [t.raw(b.port("subscribers")).handshake(b"SUB").send(subscribe(b"t")) for _ in range(2)]
    join([pub], steady + guests, b"t")
    program = t.zpeer("sub", b.addr("subscribers"), topic="t", count=1000000)
    seq = 0
    for end in (guests[0].close, guests[1].abort, program.sigkill):
        for _ in range(2000):
            put(pub, [b"t", b"%d" % seq])
            seq += 1
        end()
    for _ in range(2000):
        put(pub, [b"t", b"%d" % seq])
        seq += 1
    for sub in steady:
        for i in range(seq):
            equal(must_take(sub), [b"t", b"%d" % i], "a message")


@case()
def killed_publishers_disturb_nobody(t):
    """Publishers end in the middle of a message; subscribers get whole ones only."""
    b = t.start(pubsub(subscribers={"hwm": 0}))
    sub = t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"")
    steady = t.sock(zmq.PUB, b.addr("publishers"))
    join([steady], [sub])
    for n, end in enumerate(("close", "abort", "half_close")):
        guest = t.raw(b.port("publishers")).handshake(b"PUB")
        join([guest], [sub], b"guest%d" % n)
        guest.send(message(b"guest", b"whole") + message(b"guest", b"x" * 100000)[:50000])
        equal(must_take(sub), [b"guest", b"whole"], "the whole message")
        getattr(guest, end)()
        through(steady, sub, [b"steady", b"%d" % n], "the steady publisher's message")


@case()
def a_killed_consumer_loses_only_its_own(t):
    """A consumer that is killed takes what was on its way to it; all the rest arrives once, in order."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    stays = t.raw(b.port("consumers")).handshake(b"PULL")
    for end in ("close", "abort", "half_close"):
        goes = t.raw(b.port("consumers")).handshake(b"PULL")
        meet(producer, [stays, goes])
        for i in range(200):
            producer.send(message(end.encode(), b"%d" % i))
        at_goes = [int(must_take(goes)[1]) for _ in range(10)]
        getattr(goes, end)()
        producer.send(message(b"end of " + end.encode()))
        # The end may itself go to the dead consumer: then another one follows.
        at_stays = []
        while (one := take(stays, 0.2)) is None or not one[0].startswith(b"end of"):
            if one is None:
                producer.send(message(b"end of " + end.encode()))
            else:
                at_stays.append(int(one[1]))
            need(len(at_stays) <= 200, "more messages came than were sent")
        while take(stays, 0.05):
            pass
        need(not set(at_stays) & set(at_goes), f"{end}: messages came twice")
        equal(at_stays, sorted(set(at_stays)), f"{end}: the order at the one that stays")
        need(len(at_stays) >= 100, f"{end}: only {len(at_stays)} of at least 100 came")


@case(busbar=True)
def what_a_killed_consumer_takes_is_counted(t):
    """sent + peer_gone of the dead one and what the other got make up all that was pushed."""
    b = t.start(pipeline(None, {"hwm": 10, "sndbuf": "16KiB"}))
    stalled = t.raw(b.port("consumers"), rcvbuf=4096).handshake(b"PULL")
    b.wait_peers("consumers", 1)
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    producer.sock.setblocking(False)
    sent = Flood(producer, message(b"x" * 1000), 4000)
    b.quiet_counters()
    row = b.session(stalled)
    need(row.queued > 0, "nothing is queued for the stalled consumer")
    stalled.abort()
    b.wait_peers("consumers", 0)
    equal(b.total("dropped_out_peer_gone"), row.queued, "peer_gone after the consumer's death")
    reader = t.raw(b.port("consumers")).handshake(b"PULL")
    producer.sock.setblocking(True)
    sent.finish(producer)
    for i in range(sent.messages - row.sent - row.queued):
        need(reader.poll_message(PATIENCE), f"only {i} messages come to the next consumer")
    equal(reader.poll_message(0.2), None, "a message too many")
    equal(b.total("received"), sent.messages, "received")


@case()
def a_sigkilled_consumer_program(t):
    """SIGKILL of a C program that pulls; the stream goes on to the other."""
    b = t.start(pipeline())
    doomed = t.zpeer("sink", b.addr("consumers"))
    stays = t.raw(b.port("consumers")).handshake(b"PULL")
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    eventually(lambda: not rounds(producer, stays, 20, 0.1), "the program takes its share")
    doomed.sigkill()
    if b.is_busbar:
        b.wait_peers("consumers", 1)
    eventually(lambda: rounds(producer, stays, 20, 1), "twenty messages in a row arrive at the one that stays")


def rounds(producer, consumer, count, seconds):
    """Send and await `count` messages; false as soon as one goes elsewhere."""
    for _ in range(count):
        text = b"%d" % next(unique)
        producer.send(message(text))
        while (got := take(consumer, seconds)) != [text]:
            if got is None:
                return False
    return True


@case()
def clients_find_their_way_back(t):
    """Connections of stock sockets are cut, by FIN and RST: they reconnect and everything works again."""
    b = t.start()
    relays = {side: Relay(t, b.port(side)) for side in
              ("publishers", "subscribers", "producers", "consumers", "clients", "workers")}
    pub = t.sock(zmq.PUB, relays["publishers"].address)
    sub = t.sock(zmq.SUB, relays["subscribers"].address)
    push = t.sock(zmq.PUSH, relays["producers"].address, immediate=1)
    pull = t.sock(zmq.PULL, relays["consumers"].address)
    req = t.sock(zmq.REQ, relays["clients"].address, req_relaxed=1, req_correlate=1, immediate=1)
    rep = t.sock(zmq.REP, relays["workers"].address)
    for turn in range(6):
        sub.subscribe(b"t%d" % turn)
        join([pub], [sub], b"t%d" % turn)
        through(pub, sub, [b"t%d" % turn, b"x"], "a publication")
        eventually(lambda n=turn: pushed(push, pull, b"%d" % n), "a pushed message arrives")
        eventually(lambda n=turn: asked(req, rep, b"%d" % n), "a request is answered")
        for relay in relays.values():
            relay.cut(reset=turn % 2 == 1)
    for side, relay in relays.items():
        need(relay.accepted >= 6, f"the client at {side} connected {relay.accepted} times")


def pushed(push, pull, text):
    try:
        push.send(text, zmq.NOBLOCK)
    except zmq.Again:
        return False
    got = take(pull, 0.3)
    while got and got != [text]:
        got = take(pull, 0.3)
    return got == [text]


def asked(req, rep, text):
    try:
        req.send(text, zmq.NOBLOCK)
    except zmq.Again:
        return False
    while (got := take(rep, 0.3)) is not None:
        rep.send_multipart(got)
        if got == [text]:
            return take(req, 0.5) == [text]
    return False


@case()
def subscriptions_are_back_after_a_reconnect(t):
    """A cut subscriber subscribes again when it is back; upstream its topics end up in force."""
    b = t.start(pubsub())
    relay = Relay(t, b.port("subscribers"))
    pub = t.sock(zmq.XPUB, b.addr("publishers"))
    sub = t.sock(zmq.SUB, relay.address, subscribe=[b"a", b"b"])
    equal({must_take(pub)[0] for _ in range(2)}, {b"\1a", b"\1b"}, "subscriptions")
    state = {b"a", b"b"}
    for turn in range(4):
        relay.cut(reset=turn % 2 == 1)
        eventually(lambda n=turn: relay.accepted == n + 2, "the subscriber connects again")
        fence = b"fence%d" % turn
        sub.subscribe(fence)

        def fence_is_up():
            equal(take(sub, 0), None, "a message")  # libzmq sends subscriptions again when it is polled
            while (change := take(pub, 0.02)) is not None:
                (state.add if change[0][0] else state.discard)(change[0][1:])
            return fence in state
        eventually(fence_is_up, "the subscriptions come upstream again")
        need({b"a", b"b"} <= state, f"only {state} is in force upstream")
        put(pub, [b"a", b"%d" % turn])
        equal(must_take(sub), [b"a", b"%d" % turn], "a message after the reconnect")


@case()
def the_broker_comes_back(t):
    """The broker stops and starts again at the same ports; all clients find it without being told."""
    b = t.start()
    pub = t.sock(zmq.PUB, b.addr("publishers"))
    sub = t.sock(zmq.SUB, b.addr("subscribers"), subscribe=b"t")
    push, pull = t.sock(zmq.PUSH, b.addr("producers")), t.sock(zmq.PULL, b.addr("consumers"))
    req, rep = t.sock(zmq.REQ, b.addr("clients")), t.sock(zmq.REP, b.addr("workers"))
    for turn in range(3):
        join([pub], [sub], b"t")
        through(push, pull, [b"%d" % turn], "a pushed message")
        req.send(b"%d" % turn)
        equal(must_take(rep), [b"%d" % turn], "a request")
        rep.send(b"re")
        equal(must_take(req), [b"re"], "a reply")
        b.stop()
        b.start()


@case(busbar=True)
def sigterm_delivers_what_is_queued(t):
    """Messages that are in the broker at SIGTERM reach a consumer that reads, within `linger`."""
    b = t.start(pipeline(), linger="20s")
    consumer = t.raw(b.port("consumers"), rcvbuf=8192).handshake(b"PULL")
    b.wait_peers("consumers", 1)
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    for i in range(300):
        producer.send(message(b"%d" % i, b"x" * 1000))
    producer.pong()
    b.process.send_signal(signal.SIGTERM)
    for i in range(300):
        got = consumer.message()
        equal(got[0], b"%d" % i, "a message after SIGTERM")
    consumer.closed("the broker closes when all is delivered")
    equal(b.process.wait(timeout=PATIENCE), 0, "exit status")


@case(busbar=True)
def the_dataplane_is_started_again(t):
    """SIGKILL of the data plane: clients find it again by themselves."""
    b = t.start()
    push, pull = t.sock(zmq.PUSH, b.addr("producers"), immediate=1), t.sock(zmq.PULL, b.addr("consumers"))
    for turn in range(3):
        eventually(lambda n=turn: pushed(push, pull, b"%d" % n), "a pushed message arrives")
        os.kill(child_named(b.process.pid, "busbar-dataplane"), signal.SIGKILL)
    eventually(lambda: pushed(push, pull, b"last"), "a pushed message arrives")


@case(busbar=True, timeout=180)
def control_may_be_killed_while_it_applies(t):
    """SIGKILL of busbar-control in the midst of a new configuration, 20 times: traffic goes on, the last one holds."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    extra = [pipeline(*({"bind": [f"tcp://127.0.0.1:{t.ports.take()}"]} for _ in range(2)), name=f"extra{i}")
             for i in range(5)]
    first = list(b.endpoints)
    for turn in range(20):
        for i in range(100):
            producer.send(message(b"%d.%d" % (turn, i)))
        b.endpoints = first + (extra if turn % 2 == 0 else [])
        b.write_config()
        b.process.send_signal(signal.SIGHUP)
        time.sleep(0.002 * turn)  # anywhere between before and after
        os.kill(child_named(b.process.pid, "busbar-control"), signal.SIGKILL)
        for i in range(100):
            equal(consumer.message(), [b"%d.%d" % (turn, i)], "a message")
        eventually(b.is_running, "control is back")
    eventually(lambda: {row["name"] for row in b.ask("endpoints")["endpoints"]} == {e["name"] for e in first},
               "the last configuration runs")


@case(busbar=True, timeout=180)
def control_may_be_killed_under_load(t):
    """SIGKILL of busbar-control 20 times: not a message is lost and no connection ends."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    seq = 0
    for _ in range(20):
        os.kill(child_named(b.process.pid, "busbar-control"), signal.SIGKILL)
        for _ in range(500):
            producer.send(message(b"%d" % seq))
            seq += 1
        for i in range(seq - 500, seq):
            equal(consumer.message(), [b"%d" % i], "a message")
        eventually(b.is_running, "control is back")


def descendants(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry)] + descendants(int(entry))
    return found


def child_named(pid, name):
    """The process of this name below `pid`; waits until it is there."""
    def find():
        for child in descendants(pid):
            try:
                with open(f"/proc/{child}/cmdline", "rb") as f:
                    if os.path.basename(f.read().split(b"\0")[0]).decode() == name:
                        return child
            except OSError:
                pass
        return None
    try:
        return eventually(find, f"a process {name} below {pid}")
    except Fail:
        raise Fail(f"no process {name} below {pid}: {descendants(pid)}") from None


@case()
def reqrep_clients_and_workers_cut_under_load(t):
    """Raw clients come and go in the middle of requests; a steady one is always answered."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    steady = t.sock(zmq.REQ, b.addr("clients"))
    for turn in range(50):
        guest = t.raw(b.port("clients")).handshake(b"DEALER")
        guest.send(message(b"", b"guest") * 5 + message(b"", b"torn")[:3])
        (guest.abort if turn % 2 else guest.close)()
        steady.send(b"%d" % turn)
        while True:
            got = must_take(worker, "the steady client's request")
            worker.send_multipart(got)
            if got[-1] == b"%d" % turn:
                break
        equal(must_take(steady), [b"%d" % turn], "the reply")


@case(busbar=True)
def a_stock_client_with_its_own_id_comes_back(t):
    """
    A DEALER with a routing id whose connection is cut comes back under its id, also when the broker has
    not noticed the end of the old connection. libzmq never connects again after an ERROR instead of
    READY: an id that is still taken for a moment must not be refused that way.
    """
    beat = {"heartbeat": {"interval": "200ms", "timeout": "1s"}}
    b = t.start(reqrep(beat, beat))
    relay = Relay(t, b.port("clients"))
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    client = t.sock(zmq.DEALER, relay.address, routing_id=b"mine", immediate=1)

    def answered(text):
        try:
            client.send(text, zmq.NOBLOCK)
        except zmq.Again:
            return False
        got = take(worker, 0.5)
        while got and got != [b"mine", text]:
            got = take(worker, 0.5)
        if not got:
            return False
        worker.send_multipart(got)
        return take(client, 0.5) == [text]

    for turn, cut in enumerate((relay.cut, lambda: relay.cut(reset=True), relay.cut_client_side, relay.cut)):
        eventually(lambda n=turn: answered(b"%d" % n), f"the client is served in turn {turn}")
        cut()
    eventually(lambda: answered(b"last"), "the client is served at the end")
