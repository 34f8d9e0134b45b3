# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for observable state with a generous deadline; nothing here hopes that time was enough."""
import os
import time

# Sanitizer and valgrind runs multiply every deadline; a deadline that is not met is always a failure.
SCALE = float(os.environ.get("INTEROP_SLOW", "1"))

# Long enough for a busy build machine, short enough that a hang is told within a minute.
PATIENCE = 30.0 * SCALE


class Fail(Exception):
    """A test's finding: what was expected and what came."""


def need(condition, what):
    """Fail with `what` unless the condition holds."""
    if not condition:
        raise Fail(what)


def equal(got, expected, what):
    """Fail unless both are equal; long values are told by length and first difference."""
    if got == expected:
        return
    raise Fail(f"{what}: expected {brief(expected)}, got {brief(got)}{difference(got, expected)}")


def brief(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]}... ({len(value)} long)"


def difference(got, expected):
    """Where two long sequences part, or nothing."""
    try:
        if len(got) <= 16 and len(expected) <= 16:
            return ""
        for i, (a, b) in enumerate(zip(got, expected)):
            if a != b:
                return f"; first difference at {i}"
        return f"; lengths {len(got)} and {len(expected)}"
    except TypeError:
        return ""


def eventually(probe, what, seconds=None):
    """Call probe until it returns something true, and return that; fail after the deadline."""
    deadline = time.monotonic() + (seconds if seconds is not None else PATIENCE)
    pause = 0.002
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Fail(f"never came true: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
