# SPDX-License-Identifier: BSD-3-Clause
"""REQ, REP, DEALER and ROUTER through `reqrep`."""
import threading

import zmq

from harness import content
from harness.broker import reqrep
from harness.case import bind_when_free, case
from harness.traffic import must_take, refusal, take
from harness.wait import PATIENCE, Fail, equal, eventually, need
from rawpeer import Closed, greeting, message, ready


def echo(t, kind, address, count=1):
    """Workers of a socket type that send everything back, each in a thread until the test ends."""
    stop = threading.Event()

    def work(sock):
        while not stop.is_set():
            if sock.poll(50):
                sock.send_multipart(sock.recv_multipart())

    threads = []
    for _ in range(count):
        thread = threading.Thread(target=work, args=(t.sock(kind, address),), daemon=True)
        thread.start()
        threads.append(thread)

    def end():
        stop.set()
        for thread in threads:
            thread.join()
    t.at_end(end)
    return end


def ask(req, frames, what):
    req.send_multipart(frames)
    content.check(must_take(req, what), frames, what)


@case()
def req_and_rep_with_every_size(t):
    """Requests and replies of every awkward size, in 1 and 2 frames."""
    b = t.start(reqrep())
    echo(t, zmq.REP, b.addr("workers"))
    req = t.sock(zmq.REQ, b.addr("clients"))
    for seq, size in enumerate(content.SIZES):
        for frames in (1, 2):
            ask(req, content.message(seq, size, frames), f"{frames} x {size} octets")


@case()
def a_hundred_frames(t):
    """Requests and replies of a hundred frames."""
    b = t.start(reqrep())
    echo(t, zmq.REP, b.addr("workers"))
    req = t.sock(zmq.REQ, b.addr("clients"))
    for seq, size in enumerate(content.SIZES_SMALL):
        ask(req, content.message(seq, size, 100), f"100 x {size} octets")


@case()
def req_to_router_worker(t):
    """A ROUTER as worker sees two ids and the delimiter in front of the request."""
    b = t.start(reqrep())
    router = t.sock(zmq.ROUTER, b.addr("workers"))
    req = t.sock(zmq.REQ, b.addr("clients"))
    for i in range(10):
        req.send_multipart([b"question", b"%d" % i])
        got = must_take(router)
        equal(got[2:], [b"", b"question", b"%d" % i], "what follows the two ids")
        need(got[0] and got[1], "both ids are not empty")
        router.send_multipart(got[:3] + [b"answer", b"%d" % i])
        equal(must_take(req), [b"answer", b"%d" % i], "the answer")


@case()
def dealer_to_rep(t):
    """A DEALER that adds the delimiter talks to REP, with 100 requests on their way."""
    b = t.start(reqrep())
    echo(t, zmq.REP, b.addr("workers"))
    dealer = t.sock(zmq.DEALER, b.addr("clients"))
    for i in range(100):
        dealer.send_multipart([b"", b"%d" % i])
    for i in range(100):
        equal(must_take(dealer), [b"", b"%d" % i], f"reply {i}")


@case()
def dealer_to_dealer(t):
    """DEALER on both ends: no delimiter is added or needed, only the client's id."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    client = t.sock(zmq.DEALER, b.addr("clients"), routing_id=b"me")
    for frames in ([b"x"], [b"", b"y"], [b""], [b"a", b"", b"b"], [b"1"] * 50):
        client.send_multipart(frames)
        got = must_take(worker)
        equal(got, [b"me"] + frames, "the request")
        worker.send_multipart(got)
        equal(must_take(client), frames, "the reply")


@case()
def several_replies_to_one_request(t):
    """A DEALER worker may answer more than once, or speak first to a client it knows."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    client = t.sock(zmq.DEALER, b.addr("clients"))
    client.send(b"subscribe me")
    ident = must_take(worker)[0]
    for i in range(1000):
        worker.send_multipart([ident, b"%d" % i])
    for i in range(1000):
        equal(must_take(client), [b"%d" % i], f"reply {i}")


@case()
def correlated_requests(t):
    """REQ with CORRELATE and RELAXED: the request id goes through and late replies are told apart."""
    b = t.start(reqrep())
    worker = t.sock(zmq.ROUTER, b.addr("workers"))
    req = t.sock(zmq.REQ, b.addr("clients"), req_correlate=1, req_relaxed=1)
    req.send(b"first")
    first = must_take(worker)
    equal(len(first[2]), 4, "octets of the request id")
    equal(first[3:], [b"", b"first"], "behind the request id")
    req.send(b"second")  # gives the first one up
    second = must_take(worker)
    need(first[2] != second[2], "two requests have one id")
    worker.send_multipart(first[:-1] + [b"late"])
    worker.send_multipart(second[:-1] + [b"good"])
    equal(must_take(req), [b"good"], "the reply")


@case()
def many_clients_and_workers(t):
    """40 REQ clients and 8 REP workers: each client gets its own answers."""
    b = t.start(reqrep())
    echo(t, zmq.REP, b.addr("workers"), 8)
    clients = [t.sock(zmq.REQ, b.addr("clients")) for _ in range(40)]
    for turn in range(50):
        for c, client in enumerate(clients):
            client.send_multipart([b"client %d" % c, b"%d" % turn])
        for c, client in enumerate(clients):
            equal(must_take(client), [b"client %d" % c, b"%d" % turn], f"the answer to client {c}")


@case()
def many_dealers_with_many_requests_in_flight(t):
    """10 DEALER clients with 200 requests each under way over 4 workers: none lost, none to a wrong client."""
    b = t.start(reqrep())
    echo(t, zmq.DEALER, b.addr("workers"), 4)
    clients = [t.sock(zmq.DEALER, b.addr("clients")) for _ in range(10)]
    for i in range(200):
        for c, client in enumerate(clients):
            client.send_multipart([b"%d" % c, b"%d" % i])
    for c, client in enumerate(clients):
        got = {tuple(must_take(client)) for _ in range(200)}
        equal(got, {(b"%d" % c, b"%d" % i) for i in range(200)}, f"replies to client {c}")
        equal(take(client, 0), None, "further replies")


def rotation(t, worker_type, requests=10):
    b = t.start(reqrep())
    client = t.sock(zmq.DEALER, b.addr("clients"))
    workers = [t.raw(b.port("workers")).handshake(worker_type) for _ in range(3)]
    seen = set()
    while len(seen) < 3:  # until all three take part
        client.send_multipart([b"", b"warm"])
        seen |= set(eventually(lambda: [n for n, w in enumerate(workers) if take(w, 0.001)], "a request arrives"))
    order = []
    for i in range(requests):
        client.send_multipart([b"", b"R%d" % i])
        order += eventually(lambda: [n for n, w in enumerate(workers) if take(w, 0.001)], f"R{i} arrives")
    equal(sorted(order[:3]), [0, 1, 2], "the first three go to three workers")
    equal(order, (order[:3] * 4)[:requests], "the circle")


@case()
def requests_go_a_b_c_a(t):
    """R1 to R4 to three workers go A B C A."""
    rotation(t, b"DEALER")


@case()
def requests_to_rep_go_a_b_c_a(t):
    """The same for REP workers, which are not waited for."""
    rotation(t, b"REP")


@case()
def ten_requests_in_one_segment_go_to_ten_workers(t):
    """Rotation is per request, not per segment."""
    b = t.start(reqrep())
    client = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"c")
    workers = [t.sock(zmq.DEALER, b.addr("workers")) for _ in range(10)]
    missing, deadline_probe = set(range(10)), iter(range(10000))
    while missing:
        need(next(deadline_probe, None) is not None, f"workers {missing} get nothing")
        client.send(message(b"warm"))
        missing -= set(eventually(lambda: [n for n, w in enumerate(workers) if take(w, 0.001)], "a request"))
    client.send(b"".join(message(b"", b"%d" % i) for i in range(10)))
    got = [must_take(worker, f"the request of worker {n}") for n, worker in enumerate(workers)]
    equal(sorted(got), [[b"c", b"", b"%d" % i] for i in range(10)], "one request each")


@case()
def the_envelope_on_the_wire(t):
    """A raw worker sees the client's id, 5 octets of which the first is 0, then the request unchanged."""
    b = t.start(reqrep())
    worker = t.raw(b.port("workers")).handshake(b"DEALER")
    client = t.raw(b.port("clients")).handshake(b"REQ", identity=b"")
    client.send(message(b"", b"question"))
    got = must_take(worker)
    equal(len(got[0]), 5, "octets of a generated routing id")
    equal(got[0][0], 0, "its first octet")
    equal(got[1:], [b"", b"question"], "the request")
    worker.send(message(*got[:2], b"answer"))
    equal(must_take(client), [b"", b"answer"], "the answer")


@case()
def generated_ids_differ(t):
    """50 clients without an id of their own get 50 different ones."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    clients = [t.sock(zmq.DEALER, b.addr("clients")) for _ in range(50)]
    for client in clients:
        client.send(b"x")
    equal(len({must_take(worker)[0] for _ in clients}), 50, "ids")


@case()
def ids_given_by_the_client(t):
    """A client's own id is what workers see: 1 and 255 octets, any but a leading 0."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    for ident in (b"a", b"x" * 255, b"\xff\0\1"):
        client = t.sock(zmq.DEALER, b.addr("clients"), routing_id=ident)
        client.send(b"hello")
        got = must_take(worker)
        equal(got, [ident, b"hello"], "the request")
        worker.send_multipart(got)
        equal(must_take(client), [b"hello"], "the reply")
        client.close()


@case(busbar=True)
def a_taken_id_is_refused(t):
    """A second client with the same id is closed, without ERROR: after that it would never come back."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    first = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"same")
    with refusal(b, "identity"):
        second = t.raw(b.port("clients")).send(greeting() + ready(b"DEALER", b"same"))
        second.read_greeting()
        second.closed()
    first.send(message(b"hello"))
    equal(must_take(worker), [b"same", b"hello"], "the first one's request")


@case(busbar=True)
def an_id_can_be_taken_over_with_handover(t):
    """With `handover: true` the new holder gets the replies."""
    b = t.start(reqrep({"handover": True}))
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    first = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"same")
    first.send(message(b"one"))
    equal(must_take(worker), [b"same", b"one"], "a request")
    second = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"same")
    first.closed("the old holder is closed")
    worker.send_multipart([b"same", b"reply"])
    equal(must_take(second), [b"reply"], "the reply")


@case()
def an_id_is_free_again_when_its_holder_is_gone(t):
    """A client may come back under its id as soon as the broker has seen the end of the old one."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))

    def served(text):
        """A new connection under the id is served; if the old one is still there the next may be."""
        client = t.raw(b.port("clients"))
        client.try_send(greeting() + ready(b"DEALER", b"again"))
        client.read_greeting()
        try:
            answer = client.poll_command(PATIENCE)
        except Closed:
            answer = None
        if answer and answer.name == b"READY" and client.try_send(message(text)):
            got = take(worker, 0.2)
            if got:
                equal(got, [b"again", text], "the request")
                worker.send_multipart(got)
                equal(must_take(client), [text], "the reply")
                return True
        client.close()
        return False

    for turn in range(10):
        eventually(lambda n=turn: served(b"%d" % n), f"the id can be used in turn {turn}")
        t.raws.pop().abort()


@case()
def replies_to_clients_that_are_gone_are_dropped(t):
    """A reply to a vanished or unknown client stops nothing."""
    b = t.start(reqrep())
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    gone = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"gone")
    gone.send(message(b"hello"))
    equal(must_take(worker), [b"gone", b"hello"], "a request")
    gone.abort()
    stays = t.sock(zmq.DEALER, b.addr("clients"), routing_id=b"stays")
    for i in range(100):
        worker.send_multipart([b"gone", b"", b"%d" % i])
        worker.send_multipart([b"never was", b"%d" % i])
        stays.send(b"%d" % i)
        equal(must_take(worker), [b"stays", b"%d" % i], "a request")
        worker.send_multipart([b"stays", b"%d" % i])
        equal(must_take(stays), [b"%d" % i], "a reply")


@case()
def replies_without_an_envelope_are_dropped(t):
    """A worker that answers with one frame, or an empty id, harms nobody."""
    b = t.start(reqrep())
    worker = t.raw(b.port("workers")).handshake(b"DEALER")
    client = t.raw(b.port("clients")).handshake(b"DEALER", identity=b"c")
    worker.send(message(b"") + message(b"c") + message(b"", b"x") + message(b"\0\0\0\0\0", b"x"))
    worker.send(message(b"c", b"good"))
    got = must_take(client)
    if got == [b""]:  # libzmq's ROUTER may pass on a message that ends behind the id
        got = must_take(client)
    equal(got, [b"good"], "the reply")


@case()
def a_killed_worker_takes_only_its_own_requests(t):
    """After a worker was killed with requests in hand, clients that ask again are served by the others."""
    b = t.start(reqrep())
    doomed = t.zpeer("worker", b.addr("workers"))
    good = t.sock(zmq.DEALER, b.addr("workers"))
    req = t.sock(zmq.REQ, b.addr("clients"), req_relaxed=1, req_correlate=1, rcvtimeo=200)
    served, deadline = {"doomed": 0, "good": 0}, 400

    def one():
        """Ask until an answer comes; a request in a dead worker's hands is asked again."""
        nonlocal deadline
        while deadline:
            deadline -= 1
            req.send(b"q")
            for _ in range(400):
                if good.poll(1):
                    good.send_multipart(good.recv_multipart())
                    if req.poll(int(PATIENCE * 1000)):
                        req.recv()
                        return "good"
                if req.poll(1):
                    req.recv()
                    return "doomed"
        raise Fail("no answer comes any more")

    while not all(served.values()):
        served[one()] += 1
    doomed.sigkill()
    for _ in range(20):
        equal(one(), "good", "who answers")


@case(busbar=True)
def a_router_client_with_a_known_broker_id(t):
    """A ROUTER client addresses the broker by the side's `identity`."""
    b = t.start(reqrep({"identity": "bus"}))
    worker = t.sock(zmq.DEALER, b.addr("workers"))
    client = t.sock(zmq.ROUTER, b.addr("clients"), router_mandatory=1, routing_id=b"me")

    def sent():
        try:
            client.send_multipart([b"bus", b"hello"])
            return True
        except zmq.ZMQError:
            return False
    eventually(sent, "the ROUTER knows the broker's id")
    got = must_take(worker)
    equal(got, [b"me", b"hello"], "the request")
    worker.send_multipart(got)
    equal(must_take(client), [b"bus", b"hello"], "the reply")


@case()
def requests_wait_for_the_first_worker(t):
    """A request without a worker is kept until one comes."""
    b = t.start(reqrep())
    reqs = [t.sock(zmq.REQ, b.addr("clients")) for _ in range(20)]
    for i, req in enumerate(reqs):
        req.send(b"%d" % i)
    probe = t.raw(b.port("clients")).handshake(b"DEALER")
    probe.send(message(b"", b"probe")).pong()
    echo(t, zmq.REP, b.addr("workers"))
    for i, req in enumerate(reqs):
        equal(must_take(req), [b"%d" % i], "the reply")
    equal(must_take(probe), [b"", b"probe"], "the reply to the raw client")


@case()
def sides_that_connect(t):
    """The broker connects to a listening REP; requests come through, also when it came back."""
    address = f"tcp://127.0.0.1:{t.ports.take()}"
    b = t.start(reqrep(None, {"connect": [address]}))
    for turn in range(2):
        rep = t.sock(zmq.REP)
        bind_when_free(rep, address)
        req = t.sock(zmq.REQ, b.addr("clients"))
        for i in range(20):
            req.send(b"%d" % i)
            equal(rep.recv(), b"%d" % i, "the request")
            rep.send(b"re %d" % i)
            equal(must_take(req), [b"re %d" % i], "the reply")
        req.close()
        rep.close()
