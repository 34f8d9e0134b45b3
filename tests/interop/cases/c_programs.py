# SPDX-License-Identifier: BSD-3-Clause
"""Stock C programs on libzmq, among themselves and with Python ones."""
import zmq

from harness import content
from harness.broker import pipeline, pubsub, reqrep
from harness.case import case
from harness.traffic import must_take, put

SIZES = ",".join(str(size) for size in content.SIZES)
SMALL = ",".join(str(size) for size in content.SIZES_SMALL)
PLAN = {"count": 3 * len(content.SIZES), "sizes": SIZES, "frames": "1,2"}
PLAN_SMALL = {"count": 3 * len(content.SIZES_SMALL), "sizes": SMALL, "frames": "1,2,100"}
BLOCKS = [(PLAN, content.SIZES, [1, 2]), (PLAN_SMALL, content.SIZES_SMALL, [1, 2, 100])]


def planned(plan, topic=None):
    """The messages of a plan, as c/content.c makes them."""
    options, sizes, frames = plan
    for seq in range(options["count"]):
        yield content.message(seq, sizes[seq % len(sizes)], frames[seq % len(frames)], topic)


@case(timeout=180)
def push_to_pull(t):
    """C to C, every size, 1, 2 and 100 frames."""
    b = t.start(pipeline())
    for options, _, _ in BLOCKS:
        pull = t.zpeer("pull", b.addr("consumers"), **options)
        push = t.zpeer("push", b.addr("producers"), **options)
        push.finish()
        pull.finish()
        b.wait_peers("consumers", 0)  # else it is still given its share


@case(timeout=180)
def c_and_python_push_and_pull(t):
    """C to Python and Python to C."""
    b = t.start(pipeline())
    for plan in BLOCKS:
        pull = t.sock(zmq.PULL, b.addr("consumers"))
        push = t.zpeer("push", b.addr("producers"), **plan[0])
        for seq, frames in enumerate(planned(plan)):
            content.check(must_take(pull), frames, f"message {seq} of the C program")
        push.finish()
        pull.close()
        b.wait_peers("consumers", 0)  # else it is still given its share
        sock = t.sock(zmq.PUSH, b.addr("producers"))
        taker = t.zpeer("pull", b.addr("consumers"), **plan[0])
        for frames in planned(plan):
            put(sock, frames)
        taker.finish()
        b.wait_peers("consumers", 0)


@case(timeout=180)
def pub_to_sub(t):
    """C to C: the publisher waits for the subscription and loses nothing."""
    b = t.start(pubsub(subscribers={"hwm": 0, "hwm_bytes": "0"} if t.busbar else {"hwm": 0}))
    for n, (options, _, _) in enumerate(BLOCKS):
        pub = t.zpeer("pub", b.addr("publishers"), topic=f"topic{n}", **options)
        sub = t.zpeer("sub", b.addr("subscribers"), topic=f"topic{n}", **options)
        pub.finish()
        sub.finish()


@case(timeout=180)
def c_and_python_pub_and_sub(t):
    """C to Python and Python to C."""
    b = t.start(pubsub(subscribers={"hwm": 0, "hwm_bytes": "0"} if t.busbar else {"hwm": 0}))
    for n, plan in enumerate(BLOCKS):
        topic = b"py%d" % n
        pub = t.zpeer("pub", b.addr("publishers"), topic=topic.decode(), **plan[0])
        sub = t.sock(zmq.SUB, b.addr("subscribers"), subscribe=topic)
        for seq, frames in enumerate(planned(plan, topic)):
            content.check(must_take(sub), frames, f"message {seq} of the C program")
        pub.finish()
        sub.close()
        topic = b"c%d" % n
        sock = t.sock(zmq.XPUB, b.addr("publishers"))
        taker = t.zpeer("sub", b.addr("subscribers"), topic=topic.decode(), **plan[0])
        while must_take(sock, "the C program's subscription") != [b"\1" + topic]:
            pass  # the last subscriber's, and its cancel
        for frames in planned(plan, topic):
            put(sock, frames)
        taker.finish()
        sock.close()


@case(timeout=180)
def req_to_rep(t):
    """C to C, every size."""
    b = t.start(reqrep())
    t.zpeer("rep", b.addr("workers"))
    for options, _, _ in BLOCKS:
        t.zpeer("req", b.addr("clients"), **options).finish()


@case(timeout=180)
def every_mix_of_client_and_worker(t):
    """REQ and DEALER clients with REP, DEALER and ROUTER workers, all in C, several in flight."""
    for worker in ("rep", "worker", "router"):
        b = t.start(reqrep())
        t.zpeer(worker, b.addr("workers"))
        programs = [t.zpeer("req", b.addr("clients"), count=200, sizes="0,1,255,256,5000", frames="1,3"),
                    t.zpeer("dealer", b.addr("clients"), flight=1, count=200, sizes="100", frames="1,2"),
                    t.zpeer("dealer", b.addr("clients"), flight=50, count=2000, sizes="0,40", id="own")]
        for program in programs:
            program.finish()


@case(timeout=180)
def four_c_clients_beside_each_other(t):
    """Four requesters at once over one worker: none gets another's reply."""
    b = t.start(reqrep())
    t.zpeer("rep", b.addr("workers"))
    shapes = ["10,20,30", "1000,2000", "0", "70000,1"]
    for program in [t.zpeer("req", b.addr("clients"), count=300, sizes=shape) for shape in shapes]:
        program.finish()
