# SPDX-License-Identifier: BSD-3-Clause
"""Ports for one test process, apart from those of every other test and of every other run."""
import os
import socket

FIRST, BLOCK, BLOCKS = 20000, 32, 390  # below the ephemeral range, so that no connect() takes one


class Ports:
    """
    Holds a block of ports for as long as the process lives: a Unix socket in the abstract namespace
    is the lock, which the kernel gives back however the process ends.
    """

    def __init__(self):
        for attempt in range(BLOCKS):
            block = (os.getpid() + attempt) % BLOCKS
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                lock.bind(f"\0busbar-interop-ports-{block}")
            except OSError:
                lock.close()
                continue
            self.lock = lock
            self.next = FIRST + block * BLOCK
            self.end = self.next + BLOCK
            return
        raise RuntimeError("all blocks of test ports are taken")

    def take(self):
        """A port that nobody listens on now, and that no other test will be given."""
        while self.next < self.end:
            port = self.next
            self.next += 1
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))
                except OSError:
                    continue
            return port
        raise RuntimeError("this test's block of ports is used up")
