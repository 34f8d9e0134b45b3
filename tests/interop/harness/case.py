# SPDX-License-Identifier: BSD-3-Clause
"""Test cases: how they are declared, and what a running one has at hand."""
import os
import shutil
import subprocess
import tempfile

import zmq

from harness import broker
from harness.ports import Ports
from harness.wait import PATIENCE, SCALE, Fail, eventually, need
from rawpeer import RawPeer

CASES = {}


class Case:
    def __init__(self, name, func, timeout, busbar, long):
        self.name, self.func, self.busbar, self.long = name, func, busbar, long
        self.timeout = timeout * SCALE
        self.doc = (func.__doc__ or "").strip()


def case(timeout=90, busbar=False, long=False):
    """
    Declare a test. timeout: seconds until it is killed. busbar: examines what only Busbar has, so it
    is skipped with a stand-in. long: runs with --long only.
    """
    def declare(func):
        name = f"{func.__module__.rpartition('.')[2]}.{func.__name__}"
        CASES[name] = Case(name, func, timeout, busbar, long)
        return func
    return declare


class Program:
    """A C program of c/ at work."""

    def __init__(self, test, argv):
        self.name = f"{os.path.basename(argv[0])} {argv[1]}"
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        need(self.process.stdout.readline() == "ready\n", f"{self.name} does not start")

    def finish(self):
        """Wait for the end; it must be a good one."""
        try:
            out, err = self.process.communicate(timeout=2 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Fail(f"{self.name} does not come to an end") from None
        need(self.process.returncode == 0, f"{self.name}: {err.strip() or self.process.returncode}")
        return out

    def sigkill(self):
        self.process.kill()
        self.process.wait()

    def discard(self):
        if self.process.poll() is None:
            self.sigkill()
        self.process.stdout.close()
        self.process.stderr.close()


class Test:
    """What a running test has at hand; close() gives everything back."""

    def __init__(self, kind, build, dataplane):
        self.kind, self.build, self.dataplane = kind, build, dataplane
        self.ports = Ports()
        self.root = tempfile.mkdtemp(prefix="bbi-", dir="/tmp")  # short: a Unix socket's path lies in it
        self.brokers, self.programs, self.raws, self.closers = [], [], [], []
        self.ctx = zmq.Context()
        self.ctx.set(zmq.MAX_SOCKETS, 16384)
        self.dirs = 0

    @property
    def busbar(self):
        return self.kind == "busbar"

    def make_dir(self, name):
        self.dirs += 1
        path = os.path.join(self.root, f"{name}{self.dirs}")
        os.mkdir(path)
        return path

    def program(self, path):
        return os.path.join(self.build, path)

    def start(self, *endpoints, kind=None, **dataplane):
        """Start a broker; without endpoints one of each pattern, as in the embedded default."""
        endpoints = list(endpoints) or [broker.pubsub(), broker.pipeline(), broker.reqrep()]
        started = broker.KINDS[kind or self.kind](self, endpoints, dataplane)
        self.brokers.append(started)
        return started.start()

    def sock(self, kind, connect=None, bind=None, subscribe=None, **options):
        """
        A pyzmq socket. Its own queues are unlimited and its calls time out, so that whatever is lost
        or held back is the broker's doing. Options by their names in small letters.
        """
        sock = self.ctx.socket(kind)
        sock.linger = 0
        sock.rcvtimeo = sock.sndtimeo = int(PATIENCE * 1000)
        sock.sndhwm = sock.rcvhwm = 0
        sock.reconnect_ivl = 20
        for name, value in options.items():
            sock.set(getattr(zmq, name.upper()), value)
        if bind:
            sock.bind(bind)
        for address in [connect] if isinstance(connect, str) else connect or []:
            sock.connect(address)
        # Behind connect: libzmq keeps this order then, and sends its whole trie in its own order otherwise.
        for topic in [subscribe] if isinstance(subscribe, bytes) else subscribe or []:
            if kind == zmq.XSUB:
                sock.send(b"\x01" + topic)
            else:
                sock.subscribe(topic)
        return sock

    def raw(self, port, **options):
        """A scripted TCP peer; see rawpeer.py."""
        peer = RawPeer(port, **options)
        self.raws.append(peer)
        return peer

    def zpeer(self, role, address, **options):
        """Start c/zpeer in a role; options become --name=value."""
        argv = [self.program("tests/interop/c/zpeer"), role]
        argv += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        argv += [f"--timeout-ms={int(PATIENCE * 1000)}", address]
        program = Program(self, argv)
        self.programs.append(program)
        return program

    def at_end(self, func):
        """Call func when the test is over, however it ended."""
        self.closers.append(func)

    def finish(self):
        """The end of a test that found nothing: accounts, then every broker must stop cleanly."""
        for started in self.brokers:
            if started.alive():
                started.check_accounts()
        self.let_go()
        for started in self.brokers:
            if started.alive():
                started.stop()

    def let_go(self):
        for func in self.closers:
            func()
        self.closers = []
        for program in self.programs:
            program.discard()
        for peer in self.raws:
            peer.close()
        self.raws, self.programs = [], []
        self.ctx.destroy(linger=0)

    def close(self, keep=False):
        self.let_go()
        for started in self.brokers:
            started.kill()
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)


def bind_when_free(sock, address):
    """libzmq closes a listener in the background: its address is free a little later."""
    def bound():
        try:
            sock.bind(address)
            return True
        except zmq.ZMQError:
            return False
    eventually(bound, f"{address} is free")
