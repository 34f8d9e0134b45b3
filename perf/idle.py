#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What an idle peer costs: memory per connected peer and CPU of the whole appliance.

Starts an appliance of its own, connects half of the peers as producers and half as consumers of a pipeline, lets
each of them move a message, and then leaves them idle but for answering PINGs.

  perf/idle.py [--peers N] [--seconds S] [--build DIR] [--json FILE]

Memory: (RSS with all peers - RSS with none) / peers, over data plane and control. CPU: of both, in percent of
a core, over the idle time; heartbeats come every 30 s.
"""

import argparse
import json
import os
import pathlib
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
CONFIG = """\
dataplane: { cores: { io: "0", router: "0" }, roles: joined, idle: adaptive, memory: 512MiB }
endpoints:
  - name: jobs
    pattern: pipeline
    producers: { bind: ["tcp://127.0.0.1:%d"] }
    consumers: { bind: ["tcp://127.0.0.1:%d"] }
control: { socket: %s }
"""


def ready(socket_type):
    body = b"\x05READY\x0bSocket-Type" + len(socket_type).to_bytes(4, "big") + socket_type
    return bytes([4, len(body)]) + body


class Peer:
    """One raw ZMTP 3.1 peer. The kernel's buffers are small: 10,000 of them live on one machine."""

    def __init__(self, port, socket_type):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.sendall(GREETING + ready(socket_type))
        self.buffer = b""
        self.take(64)
        self.frame()

    def take(self, n):
        while len(self.buffer) < n:
            got = self.sock.recv(4096)
            if not got:
                sys.exit("idle.py: the appliance closed a connection")
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def frame(self):
        flags, length = self.take(2)
        return flags, self.take(length)

    def answer_pings(self):
        """Answer what came; true if it was a PING."""
        flags, body = self.frame()
        if flags & 4 and body.startswith(b"\x04PING"):
            pong = b"\x04PONG" + body[7:]
            self.sock.sendall(bytes([4, len(pong)]) + pong)
            return True
        return False


def rss_kib(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def cpu_s(pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(build, directory):
    ports = free_port(), free_port()
    config = directory / "busbar.yaml"
    config.write_text(CONFIG % (*ports, directory / "control.sock"))
    run = subprocess.Popen([build / "control/busbar", "run", "-c", config, "--state-dir", directory],
                           stderr=open(directory / "log", "w"))
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", ports[1])).close()
            return run, ports
        except OSError:
            if run.poll() is not None or time.monotonic() > deadline:
                sys.exit("idle.py: the appliance did not start:\n" + (directory / "log").read_text())
            time.sleep(0.05)


def idle(peers, seconds):
    """Answer PINGs for so long; returns how many."""
    poll = select.epoll()
    by_fd = {peer.sock.fileno(): peer for peer in peers}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    pings, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for fd, _ in poll.poll(left):
            pings += by_fd[fd].answer_pings()
    return pings


def measure(args, directory):
    run, ports = start(args.build, directory)
    try:
        pids = [int((directory / name).read_text()) for name in ("dataplane.pid", "control.pid")]
        time.sleep(1)
        none_kib = rss_kib(pids)
        consumers = [Peer(ports[1], b"PULL") for _ in range(args.peers // 2)]
        producers = [Peer(ports[0], b"PUSH") for _ in range(args.peers // 2)]
        for producer in producers:
            producer.sock.sendall(b"\x00\x0512345")
        for consumer in consumers:  # round-robin: one each
            while consumer.frame() != (0, b"12345"):
                pass
        time.sleep(1)
        all_kib = rss_kib(pids)
        cpu, began = cpu_s(pids), time.monotonic()
        pings = idle(producers + consumers, args.seconds)
        took = time.monotonic() - began
        cpu_percent = 100 * (cpu_s(pids) - cpu) / took
        end_kib = rss_kib(pids)
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(30)
    return {"peers": args.peers, "rss_none_kib": none_kib, "rss_all_kib": all_kib, "rss_end_kib": end_kib,
            "bytes_per_peer": round((max(all_kib, end_kib) - none_kib) * 1024 / args.peers),
            "idle_s": round(took, 1), "cpu_percent": round(cpu_percent, 2), "pings": pings}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=65)
    parser.add_argument("--build", type=lambda p: pathlib.Path(p).resolve(),
                        default=pathlib.Path(__file__).resolve().parent.parent / "build")
    parser.add_argument("--json")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="bb-idle-") as directory:
        row = measure(args, pathlib.Path(directory))
    print(f"{row['peers']} peers: {row['bytes_per_peer']} bytes each ({row['rss_none_kib']} KiB with none, "
          f"{row['rss_all_kib']} KiB with all, {row['rss_end_kib']} KiB at the end)")
    print(f"idle for {row['idle_s']} s: {row['cpu_percent']} % of a core, {row['pings']} PINGs answered")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(row) + "\n")


main()
