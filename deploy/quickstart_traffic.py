# SPDX-License-Identifier: BSD-3-Clause
"""
Stock ZeroMQ programs for the endpoints of deploy/default.yaml: each side is a socket of its own that connects to
Busbar and knows nothing of it. What was sent, what arrived and what Busbar counted is printed side by side.

    quickstart_traffic.py BUSBAR

BUSBAR is the command line program; it finds the appliance by BUSBAR_SOCKET. Exit status 0 if everything arrived,
in order, and Busbar counted the same.
"""
import json
import subprocess
import sys
import threading
import time

import zmq

HOST = "tcp://127.0.0.1:"
PATIENCE_MS = 20000
PUBLISHED, PUSHED, ASKED = 20000, 100000, 5000
WINDOW = 500  # published and not yet read: below every high-water mark on the way, so nothing may be dropped


class Broken(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Broken(what)


def sock(context, kind, port):
    s = context.socket(kind)
    s.linger = 0
    s.rcvtimeo = s.sndtimeo = PATIENCE_MS
    s.connect(HOST + str(port))
    return s


def pubsub(context):
    """One publisher; one subscriber to everything, one to half of the topics."""
    # XPUB is PUB that can read the subscriptions: so it knows when it may begin.
    publisher = sock(context, zmq.XPUB, 5559)
    everything, half = sock(context, zmq.SUB, 5560), sock(context, zmq.SUB, 5560)
    everything.subscribe(b"")
    half.subscribe(b"even.")
    topics = set()
    while topics != {b"", b"even."}:
        topics.add(publisher.recv()[1:])
    received = 0
    for first in range(0, PUBLISHED, WINDOW):
        numbers = range(first, first + WINDOW)
        for n in numbers:
            publisher.send_multipart([b"even.x" if n % 2 == 0 else b"odd.x", b"%d" % n])
        for s, wanted in (everything, numbers), (half, numbers[::2]):
            for n in wanted:
                expect(int(s.recv_multipart()[1]) == n, "a publication is missing or out of order")
                received += 1
    return PUBLISHED, PUBLISHED + PUBLISHED // 2, received


def pipeline(context):
    """One producer in a thread of its own; two consumers, each of which must see numbers that only grow."""
    poller = zmq.Poller()
    last = {sock(context, zmq.PULL, 5562): -1 for _ in range(2)}
    for consumer in last:
        poller.register(consumer, zmq.POLLIN)
    wait_for_peers("jobs", "consumers", 2)
    producer = threading.Thread(target=push, args=(sock(context, zmq.PUSH, 5561),), daemon=True)
    producer.start()
    received = 0
    while received < PUSHED:
        ready = poller.poll(PATIENCE_MS)
        expect(ready, f"only {received} jobs arrived")
        for consumer, _ in ready:
            n = int(consumer.recv())
            expect(n > last[consumer], "a job is out of order")
            last[consumer] = n
            received += 1
    producer.join()
    return PUSHED, PUSHED, received


def push(s):
    for n in range(PUSHED):
        s.send(b"%d" % n)


def serve(context):
    """A worker: answers until its context ends."""
    s = sock(context, zmq.REP, 5564)
    s.rcvtimeo = -1
    try:
        while True:
            s.send(s.recv().upper())
    except zmq.ZMQError:
        s.close()


def reqrep(context):
    """One client; two workers."""
    workers = zmq.Context()
    for _ in range(2):
        threading.Thread(target=serve, args=(workers,), daemon=True).start()
    wait_for_peers("rpc", "workers", 2)
    client = sock(context, zmq.REQ, 5563)
    for n in range(ASKED):
        client.send(b"hello %d" % n)
        expect(client.recv() == b"HELLO %d" % n, "a reply is not the one that belongs to the request")
    workers.term()
    return 2 * ASKED, 2 * ASKED, 2 * ASKED


def busbar(*args):
    return json.loads(subprocess.run([sys.argv[1], *args, "--json"], check=True, capture_output=True).stdout)


def wait_for_peers(endpoint, side, count):
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while len(busbar("peers", "--endpoint", endpoint, "--side", side)["peers"]) < count:
        expect(time.monotonic() < deadline, f"{endpoint}: {count} {side} did not connect")
        time.sleep(0.05)


def counted(endpoint):
    """Messages in, copies out, messages lost, messages in no account: both sides of one endpoint."""
    sides = [s for s in busbar("counters")["sides"] if s["endpoint"] == endpoint]
    counters = [s["counters"] for s in sides]
    return {
        "in": sum(c["received"] for c in counters),
        "out": sum(c["sent"] for c in counters),
        "lost": sum(v for c in counters for k, v in c.items()
                    if k.startswith("dropped_") and not k.endswith("_bytes")),
        "open": sum(abs(v) for s in sides for v in s["accounts"].values()),
    }


def run(endpoint, traffic):
    before = counted(endpoint)
    context = zmq.Context()
    start = time.monotonic()
    sent, due, received = traffic(context)
    seconds = time.monotonic() - start
    context.destroy(linger=0)
    # The last counter may be a moment behind the last message.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while True:
        after = counted(endpoint)
        delta = {k: after[k] - before[k] for k in ("in", "out", "lost")}
        good = delta == {"in": sent, "out": due, "lost": 0} and after["open"] == 0
        if good or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    print(f"{endpoint:9}{traffic.__name__:10}{sent:>9}{received:>10}{delta['in']:>13}{delta['out']:>10}"
          f"{delta['lost']:>9}{after['open']:>9}{seconds:>8.1f} s", flush=True)
    return good and received == due


def main():
    print("                        programs                   Busbar")
    print("ENDPOINT PATTERN        SENT  RECEIVED     RECEIVED      SENT  DROPPED  UNKNOWN     TIME")
    try:
        good = [run("quotes", pubsub), run("jobs", pipeline), run("rpc", reqrep)]
    except (Broken, zmq.ZMQError, subprocess.CalledProcessError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print("\nEverything that was sent arrived, in order, and Busbar counted the same." if all(good)
          else "\nNot everything arrived, or Busbar counted something else: see above.")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
