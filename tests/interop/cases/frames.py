# SPDX-License-Identifier: BSD-3-Clause
"""Frames after the handshake: length forms, flags, limits."""
import random
import struct

from harness import content
from harness.broker import pipeline, pubsub
from harness.case import case
from harness.traffic import Honest, join, meet, refusal, through
from harness.wait import equal, need
from rawpeer import LONG, MORE, command, frame, greeting, message, ping, ready, subscribe


def raw_pair(t, **settings):
    b = t.start(pipeline(**settings))
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    return b, producer, consumer


@case()
def long_forms_come_out_short(t):
    """A short frame sent in the 8-octet length form leaves in the canonical form, octet for octet."""
    _, producer, consumer = raw_pair(t)
    for body in (b"", b"x", b"hello", b"y" * 255):
        producer.send(frame(body, 0, long=True))
        equal(consumer.octets(2 + len(body)), bytes([0, len(body)]) + body, "the octets on the wire")
    producer.send(frame(b"a", MORE, long=True) + frame(b"b" * 256, MORE) + frame(b"", 0, long=True))
    expected = b"\x01\x01a" + b"\x03" + struct.pack(">Q", 256) + b"b" * 256 + b"\x00\x00"
    equal(consumer.octets(len(expected)), expected, "a multipart message")


@case()
def canonical_frames_pass_unchanged(t):
    """What is canonical already leaves as the same octets."""
    _, producer, consumer = raw_pair(t)
    octets = message(b"", b"x" * 255, b"y" * 256, b"z" * 65536, b"") + message(b"a") + message(b"", b"")
    producer.send(octets)
    equal(consumer.octets(len(octets)), octets, "the octets on the wire")


@case()
def canonical_and_other_runs_mixed(t):
    """Runs of canonical messages around others, in one segment: all leave canonical and in order."""
    _, producer, consumer = raw_pair(t)
    sent, expected = b"", b""
    for i in range(500):
        body = b"%d" % i + b"." * (i % 300)
        odd = i % 7 == 3
        sent += message(b"head", body, long=True) if odd else message(b"head", body)
        expected += message(b"head", body)
    producer.send(sent)
    equal(consumer.octets(len(expected)), expected, "the octets on the wire")


@case()
def reserved_flag_bits_are_cleared(t):
    """Frames with reserved bits set are taken, and leave with these bits 0."""
    _, producer, consumer = raw_pair(t)
    for bits in (0x08, 0x10, 0x20, 0x40, 0x80, 0xF8):
        producer.send(frame(b"a", bits | MORE) + frame(b"b", bits))
        equal(consumer.octets(6), b"\x01\x01a\x00\x01b", f"the octets on the wire for {bits:#04x}")
    producer.send(frame(b"c" * 300, 0x80))
    equal(consumer.octets(309), b"\x02" + struct.pack(">Q", 300) + b"c" * 300, "a long frame")


@case()
def subscribers_get_canonical_frames_too(t):
    """The same through pubsub: every subscriber gets the canonical form, under 3.0 and 3.1."""
    b = t.start(pubsub())
    pub = t.raw(b.port("publishers")).handshake(b"PUB")
    subs = [t.raw(b.port("subscribers")).handshake(b"SUB", version) for version in ((3, 0), (3, 1))]
    for sub in subs:
        sub.send(subscribe(b"t"))
    join([pub], subs, b"t")
    pub.send(frame(b"topic", MORE | 0x80, long=True) + frame(b"body", 0x40, long=True))
    for sub in subs:
        equal(sub.octets(13), b"\x01\x05topic\x00\x04body", "the octets on the wire")


@case()
def octet_by_octet(t):
    """Messages with long and short lengths, one octet in each segment."""
    _, producer, consumer = raw_pair(t)
    octets = message(b"", b"short", b"x" * 256) + message(b"again", long=True) + message(b"")
    producer.send(octets, piece=1)
    equal(consumer.message(), [b"", b"short", b"x" * 256], "the first")
    equal(consumer.message(), [b"again"], "the second")
    equal(consumer.message(), [b""], "the third")


@case()
def split_at_every_octet(t):
    """Three messages and a PING between frames, cut in two at every place."""
    b, producer, consumer = raw_pair(t)
    marker = t.raw(b.port("producers")).handshake(b"PUSH")  # its PONG shows that the broker came round
    octets = (frame(b"one", MORE) + ping(0, b"ctx") + frame(b"x" * 300, MORE) + frame(b"") + message(b"two") +
              frame(b"three", 0, long=True))
    for cut in range(1, len(octets)):
        producer.send(octets[:cut])
        if cut % 16 == 0:  # now and then make sure that the pieces are read apart
            marker.pong()
        producer.send(octets[cut:])
        equal(consumer.message(), [b"one", b"x" * 300, b""], f"cut at {cut}: the first")
        equal(consumer.message(), [b"two"], f"cut at {cut}: the second")
        equal(consumer.message(), [b"three"], f"cut at {cut}: the third")
        equal(producer.command(b"PONG"), b"ctx", f"cut at {cut}: the PONG")


@case()
def one_message_in_many_segments(t):
    """A megabyte in pieces of 1, 7, 1000 and 65537 octets."""
    _, producer, consumer = raw_pair(t)
    for seq, (piece, size) in enumerate(((1, 3000), (7, 30000), (1000, content.MIB), (65537, content.MIB))):
        frames = content.message(seq, size, 2)
        producer.send(message(*frames), piece=piece)
        content.check(consumer.message(), frames, f"pieces of {piece}")


@case()
def a_length_of_2_to_the_63_is_refused(t):
    """Lengths with the top bit set, and the largest without: refused before a single octet is kept."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for length in (1 << 63, (1 << 64) - 1, (1 << 63) - 1, (1 << 63) + 5):
        for flags in (LONG, LONG | MORE):
            if not b.is_busbar and length < 1 << 63:
                continue  # libzmq has no limit of its own there and tries
            with refusal(b, "oversize"):
                odd = t.raw(b.port("producers")).handshake(b"PUSH")
                odd.try_send(bytes([flags]) + struct.pack(">Q", length) + b"x" * 1000)
                if b.is_busbar:
                    odd.closed(f"a length of {length:#x} is refused")
                odd.close()
            honest.check()


@case()
def messages_above_max_message_are_refused(t):
    """`max_message: 64KiB`: what fits comes through, what does not closes its sender."""
    limit = 64 * 1024
    b = t.start(pipeline({"max_message": "64KiB"}))
    honest = Honest(t, b)
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    through(producer, honest.consumer, [b"x" * (limit - 1024)], "a message just below the limit")
    for size in (limit + 1, limit + 1000, 1 << 30, 1 << 40):
        with refusal(b, "oversize"):
            odd = t.raw(b.port("producers")).handshake(b"PUSH")
            odd.try_send(b"\x02" + struct.pack(">Q", size))  # the header is enough to tell
            odd.closed(f"a frame of {size} octets is refused")
        honest.check()
    through(producer, honest.consumer, [b"after"], "a message of the peer that keeps to it")


@case(busbar=True)
def many_small_frames_above_max_message_are_refused(t):
    """The limit is on the message, not on the frame: 100 frames of 1 KiB exceed 64 KiB."""
    b = t.start(pipeline({"max_message": "64KiB"}))
    honest = Honest(t, b)
    with refusal(b, "oversize"):
        odd = t.raw(b.port("producers")).handshake(b"PUSH")
        odd.try_send(message(*[b"x" * 1024] * 100))
        odd.closed("100 frames of 1 KiB are refused")
    honest.check()


@case(busbar=True)
def messages_above_max_frames_are_refused(t):
    """`max_frames: 100`: a hundred pass, one more closes the sender."""
    b = t.start(pipeline({"max_frames": 100}))
    honest = Honest(t, b)
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    through(producer, honest.consumer, [b"x"] * 100, "a message of 100 frames")
    for frames in ([b"x"] * 101, [b""] * 1000):
        with refusal(b, "frames"):
            odd = t.raw(b.port("producers")).handshake(b"PUSH")
            odd.try_send(message(*frames))
            odd.closed(f"{len(frames)} frames are refused")
        honest.check()
    through(producer, honest.consumer, [b"after"], "a message of the peer that keeps to it")


@case(busbar=True)
def endless_messages_are_refused_by_the_default_limits(t):
    """Frames with MORE and never a last one: 65,536 empty ones are the end."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    with refusal(b, "frames"):
        odd = t.raw(b.port("producers")).handshake(b"PUSH")
        for _ in range(70):
            if not odd.try_send(frame(b"", MORE) * 1000):
                break
        odd.closed("a message without end is refused")
    honest.check()


@case()
def a_declared_length_takes_no_memory(t):
    """200 peers that declare 60 MiB each and send nothing of it leave room for others."""
    b = t.start(pipeline())
    honest = Honest(t, b)
    for _ in range(200):
        odd = t.raw(b.port("producers")).handshake(b"PUSH")
        odd.send(b"\x02" + struct.pack(">Q", 60 * content.MIB) + b"x" * 100)
    large = content.message(0, 16 * content.MIB, 1)
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    producer.send(message(*large))
    content.check(honest.consumer.message(), large, "a large message beside them")
    honest.check()


@case()
def garbage_after_the_handshake(t):
    """Noise where frames are due: at worst the peer is closed, others do not notice."""
    noise = random.Random(3)
    b = t.start(pubsub(), pipeline())
    honest = Honest(t, b)
    for n in range(40):
        where, kind = (("producers", b"PUSH"), ("publishers", b"PUB"), ("subscribers", b"SUB"))[n % 3]
        odd = t.raw(b.port(where)).handshake(kind)
        # commands with noise in them: what is no command would be a message, which is allowed
        octets = b"".join(frame(noise.randbytes(noise.randrange(1, 60)), 4) for _ in range(20))
        odd.try_send(octets + b"\x06" + b"\xff" * 8 + b"\x04\xff")
        if b.is_busbar:
            odd.closed("a length of 2^64 - 1 is refused")
        odd.close()
        if n % 8 == 0:
            honest.check()
    honest.check()


@case()
def a_peer_that_half_closes_after_its_messages(t):
    """What was sent before the end counts; then the broker closes its half too."""
    b = t.start(pipeline())
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    for n in range(5):
        producer = t.raw(b.port("producers")).handshake(b"PUSH")
        producer.send(b"".join(message(b"%d.%d" % (n, i)) for i in range(100)))
        producer.half_close()
        for i in range(100):
            equal(consumer.message(), [b"%d.%d" % (n, i)], "a message before the end")
        producer.closed("the broker closes after a half-close")


@case()
def messages_in_the_segment_of_the_handshake(t):
    """READY and 100 messages in one segment, sent after the broker's READY came."""
    b = t.start(pipeline())
    consumer = t.raw(b.port("consumers")).handshake(b"PULL")
    producer = t.raw(b.port("producers"))
    many = b"".join(message(b"%d" % i) for i in range(100))
    if b.is_busbar:
        producer.send(greeting() + ready(b"PUSH") + many)
    else:
        producer.send(greeting() + ready(b"PUSH"))
        producer.read_greeting()
        producer.read_ready()
        producer.send(many)
    for i in range(100):
        equal(consumer.message(), [b"%d" % i], "a message")


@case()
def commands_with_the_long_form(t):
    """PING in the 8-octet length form is a PING."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    producer.send(command(b"PING", b"\0\0ctx", long=True))
    equal(producer.command(b"PONG"), b"ctx", "the context")


@case()
def unread_consumers_do_not_take_what_others_could(t):
    """A consumer that is gone in the middle of the rotation does not stop it."""
    b = t.start(pipeline())
    producer = t.raw(b.port("producers")).handshake(b"PUSH")
    consumers = [t.raw(b.port("consumers")).handshake(b"PULL") for _ in range(3)]
    meet(producer, consumers)
    consumers[1].abort()
    if b.is_busbar:
        b.wait_peers("consumers", 2)
    got, sent = set(), 0
    while len(got) < 50:
        producer.send(message(b"%d" % sent))
        sent += 1
        need(sent < 500, "messages get lost although two consumers are there")
        for consumer in (consumers[0], consumers[2]):
            one = consumer.poll_message(0.01)
            while one:
                got.add(one[0])
                one = consumer.poll_message(0)
