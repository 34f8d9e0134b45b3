# SPDX-License-Identifier: BSD-3-Clause
"""A TCP relay between a client and the broker that can cut or hold what it carries."""
import select
import socket
import struct
import threading


class Relay:
    """Listens on a port of its own; every connection is carried to `target`."""

    def __init__(self, test, target):
        self.target = target
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", test.ports.take()))
        self.listener.listen(64)
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepted = 0
        self.lock = threading.Lock()
        self.links = []
        self.silent = []  # ends towards the broker that carry nothing any more
        self.ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        test.at_end(self.end)

    def run(self):
        while not self.ended:
            with self.lock:
                ways = {a: b for link in self.links for a, b in (link, link[::-1])}
            try:
                readable = select.select([self.listener, *ways], [], [], 0.02)[0]
            except (OSError, ValueError):
                continue  # a link was cut meanwhile
            for sock in readable:
                if sock is self.listener:
                    self.accept()
                elif sock in ways:
                    self.carry(sock, ways[sock])

    def accept(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.accepted += 1
            self.links.append((client, server))

    def carry(self, source, sink):
        try:
            octets = source.recv(65536)
            if octets:
                sink.sendall(octets)
                return
        except OSError:
            pass
        self.drop(lambda link: source in link, reset=False)

    def drop(self, which, reset):
        with self.lock:
            gone = [link for link in self.links if which(link)]
            self.links = [link for link in self.links if link not in gone]
        for link in gone:
            for sock in link:
                if reset:
                    try:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    except OSError:
                        pass
                sock.close()

    def cut(self, reset=False):
        """End all connections, by FIN or by RST."""
        self.drop(lambda link: True, reset)

    def cut_client_side(self):
        """The clients see the end; the broker's connections stay open and silent, as after a broken cable."""
        with self.lock:
            gone, self.links = self.links, []
        for client, server in gone:
            client.close()
            self.silent.append(server)

    def end(self):
        self.ended = True
        self.thread.join()
        self.cut()
        for sock in self.silent:
            sock.close()
        self.listener.close()
