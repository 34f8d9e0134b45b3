# SPDX-License-Identifier: BSD-3-Clause
"""
A scripted ZMTP peer: it can send any octets in any pieces, and checks every octet that it gets.

Nothing of libzmq is used. What comes from the broker must be canonical: reserved bits 0, the
shortest length form, no MORE on commands.
"""
import select
import socket
import struct
import time

from harness.wait import Fail, PATIENCE, need

MORE, LONG, COMMAND = 1, 2, 4


def greeting(version=(3, 1), mechanism=b"NULL", as_server=0, padding=b"\0" * 7 + b"\1", filler=b"\0" * 31):
    """The 64 octets of a greeting."""
    octets = (b"\xff" + padding + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") +
              bytes([as_server]) + filler)
    assert len(octets) == 64
    return octets


def frame(body, flags=0, long=None):
    """One frame. long: force the 8-octet length form, or leave it to the size."""
    if long or (long is None and len(body) > 255):
        return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body
    return bytes([flags, len(body)]) + body


def message(*frames, long=None):
    """The frames of one multipart message."""
    last = len(frames) - 1
    return b"".join(frame(f, MORE if i < last else 0, long) for i, f in enumerate(frames))


def command(name, data=b"", long=None, flags=0):
    return frame(bytes([len(name)]) + name + data, COMMAND | flags, long)


def prop(name, value):
    """One metadata property."""
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def ready(socket_type, identity=None, extra=b"", long=None):
    """A READY command; extra: further properties, already encoded."""
    body = prop(b"Socket-Type", socket_type)
    if identity is not None:
        body += prop(b"Identity", identity)
    return command(b"READY", body + extra, long)


def ping(ttl_ds=0, context=b""):
    """PING; ttl in tenths of a second."""
    return command(b"PING", struct.pack(">H", ttl_ds) + context)


def subscribe(topic):
    return command(b"SUBSCRIBE", topic)


def cancel(topic):
    return command(b"CANCEL", topic)


def parse_properties(data):
    """Metadata as {name in small letters: value}."""
    found = {}
    while data:
        n = data[0]
        name, data = data[1:1 + n], data[1 + n:]
        (size,) = struct.unpack(">I", data[:4])
        need(len(data) >= 4 + size, f"metadata overruns at {name!r}")
        found[name.lower().decode()] = data[4:4 + size]
        data = data[4 + size:]
    return found


class Frame:
    def __init__(self, flags, body, head):
        self.flags, self.body, self.head = flags, body, head
        self.more, self.is_command = bool(flags & MORE), bool(flags & COMMAND)

    @property
    def name(self):
        """A command's name, else None."""
        if not self.is_command or not self.body:
            return None
        return self.body[1:1 + self.body[0]]

    @property
    def data(self):
        return self.body[1 + self.body[0]:] if self.is_command else self.body


class Closed(Exception):
    """The broker closed the connection."""


class RawPeer:
    """
    One TCP connection. All waiting has a deadline, and fails the test when it passes.

    rcvbuf, sndbuf: kernel buffers in octets, set before connecting so that the window follows.
    """

    def __init__(self, port, host="127.0.0.1", rcvbuf=None, sndbuf=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((host, port))
        self.poll = select.poll()  # select() takes no descriptor above 1023
        self.poll.register(self.sock, select.POLLIN)
        self.local_port = self.sock.getsockname()[1]
        self.buffer = bytearray()
        self.eof = False
        self.commands = []    # commands that came between messages, oldest first
        self.parts = []       # frames of a message that is not complete yet
        self.peer_metadata = {}
        self.answer_pings = True

    # --- octets -----------------------------------------------------------------------------

    def send(self, octets, piece=None, pause=0.0):
        """Send, in segments of `piece` octets with a pause behind each when given."""
        if piece is None:
            self.sock.sendall(octets)
            return self
        for i in range(0, len(octets), piece):
            self.sock.sendall(octets[i:i + piece])
            if pause:
                time.sleep(pause)
        return self

    def try_send(self, octets):
        """Send to a broker that may have closed already; true if the kernel took all of it."""
        try:
            self.sock.sendall(octets)
            return True
        except OSError:
            return False

    def fill(self, seconds):
        """Read what is there, waiting up to `seconds`; false if nothing came."""
        if self.eof:
            raise Closed()
        if not self.poll.poll(max(0.0, seconds) * 1000):
            return False
        try:
            octets = self.sock.recv(1 << 18)
        except ConnectionError:
            octets = b""
        if not octets:
            self.eof = True
            raise Closed()
        self.buffer += octets
        return True

    def octets(self, count, what="octets"):
        """Exactly `count` octets; fails if they do not come."""
        deadline = time.monotonic() + PATIENCE
        while len(self.buffer) < count:
            try:
                came = self.fill(deadline - time.monotonic())
            except Closed:
                raise Fail(f"closed after {len(self.buffer)} of {count} {what}") from None
            need(came, f"only {len(self.buffer)} of {count} {what} came")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def closed(self, what="the broker closes the connection", seconds=PATIENCE):
        """Wait for the end of the connection; returns all octets that came before it."""
        deadline = time.monotonic() + seconds
        try:
            while self.fill(deadline - time.monotonic()) or time.monotonic() < deadline:
                pass
        except Closed:
            taken = bytes(self.buffer)
            self.buffer.clear()
            return taken
        raise Fail(f"did not happen: {what}")

    def is_open(self):
        """True while no end of the connection was seen; reads what is there."""
        try:
            while self.fill(0):
                pass
            return True
        except Closed:
            return False

    # --- frames -----------------------------------------------------------------------------

    def parse(self):
        """The next frame from the buffer, or None; PINGs are answered on the way as a peer has to."""
        found = self.parse_any()
        while found and found.name == b"PING" and self.answer_pings:
            self.try_send(command(b"PONG", found.data[2:]))
            found = self.parse_any()
        return found

    def parse_any(self):
        buf = self.buffer
        if not buf:
            return None
        flags = buf[0]
        need(flags & ~(MORE | LONG | COMMAND) == 0, f"reserved flag bits came: {flags:#04x}")
        need(not (flags & COMMAND and flags & MORE), "a command with MORE came")
        if flags & LONG:
            if len(buf) < 9:
                return None
            (size,) = struct.unpack(">Q", buf[1:9])
            need(size > 255, f"a long length came for {size} octets")
            head = 9
        else:
            if len(buf) < 2:
                return None
            size, head = buf[1], 2
        if len(buf) < head + size:
            return None
        found = Frame(flags, bytes(buf[head:head + size]), bytes(buf[:head]))
        del buf[:head + size]
        return found

    def frame(self, what="a frame"):
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.parse()
            if found:
                return found
            try:
                came = self.fill(deadline - time.monotonic())
            except Closed:
                raise Fail(f"closed instead of {what}") from None
            need(came, f"{what} did not come")

    def command(self, name):
        """The next command, which must be `name`; returns its data."""
        if self.commands:
            found = self.commands.pop(0)
        else:
            found = self.frame(f"{name.decode()}")
            need(found.is_command, f"a message frame came where {name.decode()} was due")
        need(found.name == name, f"{found.name!r} came where {name.decode()} was due")
        return found.data

    def poll_message(self, seconds):
        """A whole message as a list of frames, or None if none comes in time; commands are set aside."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.parse()
            if found is None:
                left = deadline - time.monotonic()
                try:
                    if not self.fill(left) and left <= 0:
                        return None
                except Closed:
                    raise Fail("closed while a message was waited for") from None
            elif found.is_command:
                self.commands.append(found)
            else:
                self.parts.append(found.body)
                if not found.more:
                    whole, self.parts = self.parts, []
                    return whole

    def message(self):
        whole = self.poll_message(PATIENCE)
        need(whole is not None, "a message did not come")
        return whole

    def poll_command(self, seconds):
        """A command that came already or comes in time, else None."""
        deadline = time.monotonic() + seconds
        while not self.commands:
            found = self.parse()
            if found is None:
                left = deadline - time.monotonic()
                if not self.fill(left) and left <= 0:
                    return None
            elif found.is_command:
                self.commands.append(found)
            else:
                raise Fail("a message came where a command was waited for")
        return self.commands.pop(0)

    # --- handshake --------------------------------------------------------------------------

    def read_greeting(self):
        """The broker's greeting, checked."""
        got = self.octets(64, "octets of the greeting")
        need(got[0] == 0xFF and got[9] == 0x7F, f"the signature is {got[:10].hex()}")
        need(got[10] == 3, f"the greeting says version {got[10]}.{got[11]}")
        need(got[12:32] == b"NULL".ljust(20, b"\0"), f"the mechanism is {got[12:32]!r}")
        need(got[33:] == b"\0" * 31, "the filler is not zero")
        return got

    def read_ready(self):
        self.peer_metadata = parse_properties(self.command(b"READY"))
        return self.peer_metadata

    def handshake(self, socket_type, version=(3, 1), identity=None, extra=b"", piece=None):
        """Greeting and READY, both ways."""
        self.send(greeting(version), piece)
        self.read_greeting()
        self.send(ready(socket_type, identity, extra), piece)
        self.read_ready()
        return self

    def pong(self, context=b"fence"):
        """Send a PING and wait for its PONG: all that was sent before has been read by then."""
        self.send(ping(0, context))
        others = []
        while True:
            found = self.poll_command(PATIENCE)
            need(found is not None, "no PONG came")
            if found.name == b"PONG":
                need(found.data == context, f"PONG echoes {found.data!r}, not {context!r}")
                self.commands = others + self.commands
                return self
            others.append(found)

    def subscription(self, seconds=PATIENCE):
        """
        The next subscription that comes to a publisher, as (True or False, topic, "command" or
        "message"); None if none comes in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = self.commands.pop(0) if self.commands else self.parse()
            if found is None:
                left = deadline - time.monotonic()
                if not self.fill(left) and left <= 0:
                    return None
            elif found.name in (b"SUBSCRIBE", b"CANCEL"):
                return found.name == b"SUBSCRIBE", found.data, "command"
            elif not found.is_command:
                need(found.body[:1] in (b"\0", b"\1") and not found.more, f"{found.body!r} came to a publisher")
                return found.body[0] == 1, found.body[1:], "message"

    # --- end --------------------------------------------------------------------------------

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()
