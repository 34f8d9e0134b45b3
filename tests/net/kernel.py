#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The stack against the kernel's TCP, through a TAP device in a network namespace of its own.

    kernel.py TAP_NODE [--quick] [--speed]

Bulk both ways and at once with content checked, many connections opened and closed, connections begun by either side,
IPv4 and IPv6; with kernel settings varied, and with loss, reordering and duplication. Needs root; exits 77 without.
"""
import ctypes
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

NET = ("10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2")
CLONE_NEWNET = 0x40000000


def pattern():
    """xoshiro256** from seed 7, low octets: what tap_node's source port sends."""
    mask = (1 << 64) - 1
    state, seed = [], 7
    for _ in range(4):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        state.append(z ^ (z >> 31))
    out = bytearray()
    s = state
    for _ in range(65536):
        x = (s[1] * 5) & mask
        out.append((((x << 7) | (x >> 57)) & mask) * 9 & 0xFF)
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & mask
    return bytes(out)


PATTERN = pattern()


def sh(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def sysctl(name, value):
    with open("/proc/sys/net/ipv4/" + name, "w") as f:
        f.write(str(value))


def dial(family, port):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(60)
    s.connect((NET[0] if family == socket.AF_INET else NET[2], port))
    return s


def recv_all(s, n):
    parts, got = [], 0
    while got < n:
        b = s.recv(min(1 << 20, n - got))
        if not b:
            break
        parts.append(b)
        got += len(b)
    return b"".join(parts)


def source(family, n):
    with dial(family, 19) as s:
        s.sendall(struct.pack(">Q", n))
        got = recv_all(s, n)
        assert s.recv(1) == b"", "bytes behind the end"
    want = (PATTERN * (n // len(PATTERN) + 1))[:n]
    assert got == want, "source: %d of %d bytes, equal %s" % (len(got), n, got == want[: len(got)])


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def sink(family, data, want):
    with dial(family, 9) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert recv_all(s, 8) == want, "sink: wrong sum"


def echo_on(s, data):
    t = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    t.start()
    got = recv_all(s, len(data))
    tail = s.recv(1)
    t.join()
    assert got == data and tail == b"", "echo: %d of %d bytes, equal %s" % (len(got), len(data), got == data)


def echo(family, data):
    with dial(family, 7) as s:
        echo_on(s, data)


def churn(family, count):
    for i in range(count):
        with dial(family, 7) as s:
            m = b"%d" % i * 20
            s.sendall(m)
            assert recv_all(s, len(m)) == m
            if i % 3 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Node:
    def __init__(self, path, *options):
        self.p = subprocess.Popen(
            [path, "tap0", NET[0], NET[2], *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.p.stdout.readline().strip() != "ready":
            print("no TAP device: skipped")
            sys.exit(77)
        sh("ip", "link", "set", "tap0", "up", "mtu", "1500")
        sh("ip", "addr", "add", NET[1] + "/24", "dev", "tap0")
        sh("ip", "addr", "add", NET[3] + "/64", "dev", "tap0", "nodad")

    def stop(self):
        self.p.stdin.close()
        out = self.p.stdout.read()
        assert self.p.wait(10) == 0, out
        counters = dict(l.split("=", 1) for l in out.splitlines() if "=" in l and " " not in l)
        return counters, [l for l in out.splitlines() if l.startswith("closed")]


def run(name, path, node_options, kernel, size, conns):
    for k, v in kernel.items():
        sysctl(k, v)
    rnd = random.Random(name)
    data = rnd.randbytes(size)
    small = data[: size // 4]
    want = struct.pack(">Q", fnv(small))
    for family, label in ((socket.AF_INET, "v4"), (socket.AF_INET6, "v6")):
        node = Node(path, *node_options)
        try:
            begin = time.monotonic()
            source(family, size)
            sink(family, small, want)
            echo(family, data)
            churn(family, conns)
            counters, broken = node.stop()
            # Connections that the kernel reset (churn does) are all that may end badly.
            bad = [b for b in broken if "reason=1" not in b]
            assert not bad, bad
            print("kernel %s %s ok %s (%.1f s, %s rexmits)" % (
                label, name, " ".join(node_options), time.monotonic() - begin, counters.get("tcp_rexmits", "0")))
        except Exception as e:
            print("kernel %s %s FAIL %s: %r" % (label, name, " ".join(node_options), e))
            node.p.kill()
            node.p.wait()
            return 1
    return 0


def outgoing(path):
    """Connections that the stack begins."""
    failed = 0
    for family, label in ((socket.AF_INET, "v4"), (socket.AF_INET6, "v6")):
        # The address exists only with the device: listen on the wildcard.
        l = socket.socket(family, socket.SOCK_STREAM)
        l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        l.bind(("" if family == socket.AF_INET else "::", 4000))
        l.listen(64)
        l.settimeout(30)
        node = Node(path, "connect=4000,20,%s" % label[1])
        try:
            data = random.Random(1).randbytes(200000)
            for _ in range(20):
                s, _a = l.accept()
                s.settimeout(30)
                echo_on(s, data)
                s.close()
            _c, broken = node.stop()
            assert not broken, broken
            print("kernel %s connections that the stack begins ok" % label)
        except Exception as e:
            print("kernel %s connections that the stack begins FAIL: %r" % (label, e))
            node.p.kill()
            node.p.wait()
            failed += 1
        l.close()
    return failed


def speed(path):
    node = Node(path)
    n = 1 << 30
    for what in ("source", "sink"):
        begin = time.monotonic()
        with dial(socket.AF_INET, 19 if what == "source" else 9) as s:
            if what == "source":
                s.sendall(struct.pack(">Q", n))
                got, buf = 0, bytearray(1 << 20)
                while got < n:
                    k = s.recv_into(buf)
                    assert k > 0
                    got += k
            else:
                block = bytes(1 << 20)
                for _ in range(n // len(block) // 4):
                    s.sendall(block)
                s.shutdown(socket.SHUT_WR)
                assert len(recv_all(s, 8)) == 8
        bits = n * 8 if what == "source" else n * 2
        print("%s: %.2f Gbit/s" % (what, bits / (time.monotonic() - begin) / 1e9))
    node.stop()


def main():
    path = os.path.abspath(sys.argv[1])
    quick = "--quick" in sys.argv
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        print("no right to make a network namespace: skipped")
        return 77
    sh("ip", "link", "set", "lo", "up")
    if "--speed" in sys.argv:
        speed(path)
        return 0
    size = 1 << 20 if quick else 8 << 20
    conns = 100 if quick else 1000
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as f:
        default_cc = f.read().strip()
    plain = {"tcp_congestion_control": default_cc, "tcp_sack": 1, "tcp_timestamps": 1, "tcp_window_scaling": 1, "tcp_ecn": 2}
    lossy = ("loss=500", "reorder=1000", "dup=100")
    rows = [("plain", (), {})]
    rows += [("no SACK", (), {"tcp_sack": 0}), ("no timestamps", (), {"tcp_timestamps": 0})]
    rows += [("no window scale", (), {"tcp_window_scaling": 0}), ("ECN", ("ecn=1",), {"tcp_ecn": 1})]
    rows += [("reno", ("cc=newreno",), {"tcp_congestion_control": "reno"})]
    failed = 0
    for name, options, kernel in rows:
        failed += run(name, path, options, {**plain, **kernel}, size, conns)
    for i, (name, options, kernel) in enumerate(rows[:2] if quick else rows):
        failed += run("lossy, " + name, path, lossy + ("seed=%d" % i,) + options, {**plain, **kernel}, size // 8, 5 if quick else 50)
    failed += outgoing(path)
    print("%d failed" % failed)
    return failed != 0


sys.exit(main())
