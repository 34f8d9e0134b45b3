# SPDX-License-Identifier: BSD-3-Clause
"""What test messages hold, the same octets as c/content.c makes: every octet can be checked."""
import functools

from harness.wait import Fail

KIB, MIB = 1024, 1024 * 1024
SIZES_SMALL = [0, 1, 255, 256, 8191, 8192, 8193, 65535, 65536, 65537]
SIZES = SIZES_SMALL + [MIB, 16 * MIB]

TABLE = bytes((i * i * 7 + i * 13 + 5) % 256 for i in range(251))


@functools.lru_cache(maxsize=32)
def stretch(size):
    return TABLE * (size // len(TABLE) + 2)


def frame(seq, index, size):
    """The content of frame `index` of message number `seq`."""
    offset = (seq * 31 + index * 17) % len(TABLE)
    return stretch(size)[offset:offset + size]


def message(seq, size, frames=1, topic=None):
    """Message number `seq`: `frames` frames of `size` octets, behind a topic frame when one is given."""
    body = [frame(seq, index, size) for index in range(frames)]
    return body if topic is None else [topic] + body


def check(got, expected, what):
    """Compare two multipart messages; says which frame differs, without printing megabytes."""
    if got == expected:
        return
    if len(got) != len(expected):
        raise Fail(f"{what}: {len(expected)} frames were sent, {len(got)} came")
    for index, (a, b) in enumerate(zip(got, expected)):
        if len(a) != len(b):
            raise Fail(f"{what}: frame {index} has {len(a)} octets, {len(b)} were sent")
        if a != b:
            at = next(i for i in range(len(a)) if a[i] != b[i])
            raise Fail(f"{what}: frame {index} of {len(a)} octets differs at {at}")
