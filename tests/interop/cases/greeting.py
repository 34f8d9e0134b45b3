# SPDX-License-Identifier: BSD-3-Clause
"""Greetings, good, slow and broken."""
import itertools
import random
import time

from harness.broker import pipeline
from harness.case import case
from harness.traffic import Honest, refusal, take
from harness.wait import equal, eventually, need
from rawpeer import greeting, message, ready


def both_ends(t, b):
    """Fresh raw connections to both sides of the pipeline, with nothing sent yet."""
    return t.raw(b.port("producers")), t.raw(b.port("consumers"))


def exchange(producer, consumer, text=b"hello"):
    """A message of this producer reaches this consumer; some may go to one that just went away."""
    count = itertools.count()

    def reached():
        producer.send(message(text, b"%d" % next(count)))
        return take(consumer, 0.1)
    equal(eventually(reached, f"a message after {text!r} arrives")[0], text, "the message")


def refused_hello(t, octets, cause, what):
    """
    These first octets get a peer closed, on each side and while an honest pair keeps working. Not for
    libzmq, which speaks 1.0 and takes anything for one of its peers.
    """
    b = t.start(pipeline())
    honest = Honest(t, b)
    for where in ("producers", "consumers"):
        with refusal(b, *([cause] if isinstance(cause, str) else cause)):
            odd = t.raw(b.port(where))
            odd.try_send(octets)
            odd.closed(what)
            honest.check()


@case()
def the_broker_speaks_without_being_asked(t):
    """Both peers send at once: the signature comes before we sent anything."""
    b = t.start(pipeline())
    for peer in both_ends(t, b):
        got = peer.octets(10, "octets of the signature")
        need(got[0] == 0xFF and got[9] == 0x7F, f"the signature is {got.hex()}")


@case()
def octet_by_octet(t):
    """The whole handshake and a message, one octet in each segment."""
    b = t.start(pipeline())
    producer, consumer = both_ends(t, b)
    producer.handshake(b"PUSH", piece=1)
    consumer.handshake(b"PULL", piece=1)
    producer.send(message(b"he", b"llo"), piece=1)
    equal(consumer.message(), [b"he", b"llo"], "the message")


@case()
def a_peer_that_stops_after_eleven_octets(t):
    """It waits for our whole greeting, as libzmq does: we must not wait for its 64."""
    b = t.start(pipeline())
    producer, consumer = both_ends(t, b)
    for peer, kind in ((producer, b"PUSH"), (consumer, b"PULL")):
        peer.send(greeting()[:11])
        peer.read_greeting()
        peer.send(greeting()[11:] + ready(kind))
        peer.read_ready()
    exchange(producer, consumer)


@case()
def a_peer_that_stops_after_ten_octets(t):
    """After the signature at least our version octet has to come."""
    b = t.start(pipeline())
    producer, consumer = both_ends(t, b)
    for peer, kind in ((producer, b"PUSH"), (consumer, b"PULL")):
        peer.send(greeting()[:10])
        got = peer.octets(11, "octets of the greeting")
        equal(got[10], 3, "the major version")
        peer.send(greeting()[10:] + ready(kind))
        peer.octets(53, "remaining octets of the greeting")
        peer.read_ready()
    exchange(producer, consumer)


@case()
def greeting_and_ready_in_one_segment(t):
    """Everything at once, also with messages behind it."""
    b = t.start(pipeline())
    producer, consumer = both_ends(t, b)
    consumer.send(greeting() + ready(b"PULL"))
    consumer.read_greeting()
    consumer.read_ready()
    early = message(b"early") if b.is_busbar else b""  # libzmq takes none before its own READY is out
    producer.send(greeting() + ready(b"PUSH") + early)
    producer.read_greeting()
    producer.read_ready()
    producer.send(message(b"later"))
    if early:
        equal(consumer.message(), [b"early"], "the message behind READY")
    equal(consumer.message(), [b"later"], "the next message")


@case()
def split_at_every_octet(t):
    """Greeting, READY and a message cut in two at every place."""
    b = t.start(pipeline())
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    hello = greeting() + ready(b"PUSH")
    for cut in range(1, len(hello)):
        producer = t.raw(b.port("producers"))
        producer.send(hello[:cut])
        producer.octets(10, "octets of the signature")  # the first part is on its way by now
        producer.send(hello[cut:])
        producer.octets(54, "remaining octets of the greeting")
        producer.read_ready()
        producer.send(message(b"%d" % cut))
        equal(consumer.message(), [b"%d" % cut], f"the message of the peer cut at {cut}")
        producer.close()


@case()
def every_version_from_3_0_on(t):
    """3.0, 3.1 and whatever comes later is served."""
    b = t.start(pipeline())
    for version in ((3, 0), (3, 1), (3, 2), (3, 255), (4, 0), (4, 1), (127, 3), (255, 255)):
        producer, consumer = both_ends(t, b)
        producer.handshake(b"PUSH", version)
        consumer.handshake(b"PULL", version)
        exchange(producer, consumer, b"%d.%d" % version)
        producer.close()
        consumer.close()


@case()
def the_as_server_octet_is_ignored(t):
    """0, 1 or anything else: no peer is refused on it."""
    b = t.start(pipeline())
    for octet in (1, 2, 255):
        producer, consumer = both_ends(t, b)
        for peer, kind in ((producer, b"PUSH"), (consumer, b"PULL")):
            peer.send(greeting(as_server=octet))
            peer.read_greeting()
            peer.send(ready(kind))
            peer.read_ready()
        exchange(producer, consumer, b"%d" % octet)
        producer.close()
        consumer.close()


@case()
def padding_and_filler_are_ignored(t):
    """The 8 octets inside the signature and the 31 behind may hold anything."""
    b = t.start(pipeline())
    for padding, filler in ((b"\0" * 8, b"\xff" * 31), (b"\xff" * 8, bytes(range(31))), (b"\1" * 8, b"\0" * 31)):
        producer, consumer = both_ends(t, b)
        for peer, kind in ((producer, b"PUSH"), (consumer, b"PULL")):
            peer.send(greeting(padding=padding, filler=filler))
            peer.read_greeting()
            peer.send(ready(kind))
            peer.read_ready()
        exchange(producer, consumer, padding[:1])
        producer.close()
        consumer.close()


@case(busbar=True)
def a_wrong_first_octet(t):
    """No signature: refused."""
    refused_hello(t, b"\xfe" + greeting()[1:], ("greeting", "version"), "a wrong first octet is refused")


@case(busbar=True)
def a_wrong_tenth_octet(t):
    """The second half of the signature is wrong."""
    octets = greeting()
    refused_hello(t, octets[:9] + b"\x7e" + octets[10:], ("greeting", "version"), "a wrong tenth octet is refused")


@case(busbar=True)
def zmtp_1_0_is_refused_cleanly(t):
    """An unversioned peer: an empty identity frame, then a message."""
    refused_hello(t, b"\x01\x00" + b"\x06\x00hello", ("version", "greeting"), "ZMTP 1.0 is refused")


@case(busbar=True)
def versioned_1_0_is_refused_cleanly(t):
    """A greeting whose version is 0."""
    refused_hello(t, greeting()[:10] + b"\0\0", "version", "version 0 is refused")


@case(busbar=True)
def zmtp_2_0_is_refused_cleanly(t):
    """A 2.0 peer: version 1, socket type octet, identity frame."""
    refused_hello(t, greeting()[:10] + b"\1\x08" + b"\0\0", "version", "ZMTP 2.0 is refused")


@case(busbar=True)
def version_2_is_refused_cleanly(t):
    """Octet 10 = 2 means 2.0 too."""
    refused_hello(t, greeting()[:10] + b"\2\x08" + b"\0\0", "version", "version 2 is refused")


@case()
def other_mechanisms_are_refused(t):
    """PLAIN, CURVE, unknown and misspelt ones."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    names = (b"PLAIN", b"CURVE", b"GSSAPI", b"null", b"NULLX", b"NUL", b"", b"NULL\0X", b"X" * 20, b"\xff" * 20)
    for name in names:
        for where, kind in (("producers", b"PUSH"), ("consumers", b"PULL")):
            with refusal(b, "mechanism"):
                odd = t.raw(b.port(where))
                odd.try_send(greeting(mechanism=name))
                odd.try_send(ready(kind))
                odd.closed(f"mechanism {name!r} is refused")
    honest.check()


@case(busbar=True)
def garbage(t):
    """50 peers that send 1 KiB of noise each (seeded), some of which begin like a greeting."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    noise = random.Random(1)
    with refusal(b, "greeting", "version", "mechanism", "handshake", "metadata", at_least=50):
        for n in range(50):
            odd = t.raw(b.port("producers" if n % 2 else "consumers"))
            octets = noise.randbytes(1024)
            if n % 5 == 0:
                octets = b"\xff" + octets[1:9] + b"\x7f" + octets[10:]
            odd.try_send(octets)
            odd.closed(f"garbage {n} is refused")
            odd.close()
    honest.check()


@case()
def garbage_behind_a_good_greeting(t):
    """50 peers with a correct greeting and noise instead of READY."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    noise = random.Random(2)
    for n in range(50):
        odd = t.raw(b.port("producers" if n % 2 else "consumers"))
        odd.try_send(greeting())
        odd.try_send(noise.randbytes(2048))
        odd.half_close()
        odd.closed(f"noise {n} instead of READY is refused")
        odd.close()
    honest.check()


@case(busbar=True)
def a_tls_client_hello(t):
    """A TLS client that came to the wrong door."""
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + b"\0" * 160
    refused_hello(t, hello, "greeting", "a TLS hello is refused")


@case(busbar=True)
def an_http_request(t):
    """A browser or a health check that came to the wrong door."""
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: check\r\n\r\n"
    refused_hello(t, request, "greeting", "an HTTP request is refused")


@case()
def other_protocols(t):
    """SSH, SMTP, Redis, MQTT, AMQP and a telnet user."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    mqtt, telnet = bytes.fromhex("100c00044d5154540402003c0000"), b"\xff\xf4\xff\xfd\x06hello\r\n"
    for octets in (b"SSH-2.0-OpenSSH_9.2\r\n", b"EHLO there\r\n", b"*1\r\n$4\r\nPING\r\n", b"\r\n", mqtt,
                   b"AMQP\0\0\x09\x01", telnet):
        odd = t.raw(b.port("producers"))
        odd.try_send(octets)
        odd.half_close()
        odd.closed(f"{octets!r} is refused")
        honest.check()


@case()
def silence_is_timed_out(t):
    """Peers that send nothing, a part of the greeting, or no READY, are closed after handshake_timeout."""
    b = t.start(pipeline({"handshake_timeout": "1s"}, {"handshake_timeout": "1s"}))
    hello = greeting() + ready(b"PUSH")
    with refusal(b, "handshake_timeout", at_least=6):
        peers = []
        for cut in (0, 1, 10, 11, 40, 70):
            begin = time.monotonic()
            peers.append((cut, begin, t.raw(b.port("producers")).send(hello[:cut])))
        for cut, begin, peer in peers:
            peer.closed(f"a peer that sent {cut} octets is closed")
            need(time.monotonic() - begin > 0.9, f"a peer that sent {cut} octets was closed too early")
    exchange(t.raw(b.port("producers")).handshake(b"PUSH"), t.raw(b.port("consumers")).handshake(b"PULL"))


@case()
def a_finished_handshake_is_not_timed_out(t):
    """handshake_timeout does not touch a peer that is through."""
    b = t.start(pipeline({"handshake_timeout": "1s"}, {"handshake_timeout": "1s"}))
    honest = Honest(t, b)
    late = t.raw(b.port("producers"))
    late.closed("the silent peer is timed out")  # by now the honest ones are older than that
    honest.check()


@case()
def slow_loris(t):
    """20 peers that send an octet each 50 ms: an honest pair does not notice."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    loris = [t.raw(b.port("producers" if n % 2 else "consumers")) for n in range(20)]
    octets = greeting() + ready(b"PUSH")
    for turn in range(40):
        for peer in loris:
            peer.try_send(octets[turn:turn + 1])
        honest.check(20)
        time.sleep(0.05)  # the peers' pace, not a wait for anything
    for peer in loris:
        need(peer.is_open(), "a slow peer was closed long before handshake_timeout")
