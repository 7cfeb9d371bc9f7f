"""Ways to damage bytes; every reader of a format is attacked with all of them."""

import pytest

ALL_BITS = range(8)


def cuts(data, *, start=0):
    """Yield (length, data[:length]) for every cut from `start` to before the end."""
    for length in range(start, len(data)):
        yield length, data[:length]


def bit_flips(data, *, start=0, end=None, bits=ALL_BITS):
    """Yield (position, changed data) for every bit of bytes [start, end)."""
    for position in range(start, len(data) if end is None else end):
        for bit in bits:
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            yield position, bytes(changed)


def byte_flips(data, *, start=0, end=None):
    """Yield (position, data with all bits of that byte turned) for [start, end)."""
    for position in range(start, len(data) if end is None else end):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        yield position, bytes(changed)


def assert_cuts_are_noticed(data, read, error, *, start=0):
    """Assert that `read` raises `error` for `data` cut anywhere from `start` on."""
    for length, cut in cuts(data, start=start):
        if not _raises(error, read, cut):
            pytest.fail(f"cut at byte {length} of {len(data)} was not noticed")


def assert_flips_are_noticed(data, read, error, *, start=0, end=None):
    """Assert that `read` raises `error` whichever bit of [start, end) is turned."""
    for position, changed in bit_flips(data, start=start, end=end):
        if not _raises(error, read, changed):
            pytest.fail(f"a flip in byte {position} was not noticed")


def _raises(error, read, data):
    try:
        read(data)
    except error:
        return True
    return False
