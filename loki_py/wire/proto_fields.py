"""Read all fields of many protobuf messages of one kind at once.

    message := field*
    field   := tag:varint value        tag = number << 3 | wire type
    value   := varint                  wire type 0
             | u64le                   wire type 1
             | length:varint u8[length]  wire type 2
             | u32le                   wire type 5

One round reads the next field of every message that has one, whatever its
number, so fields may come in any order; rounds are few, as messages are small.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from loki_py.errors import BodyTooLarge, ValidationFailed
from loki_py.model.batch import Rows
from loki_py.model.words import Words, words_of
from loki_py.wire.wire_scan import PADDING, Mask, Scanner

ROUNDS_MAX = 2_000
"""Fields that one message may have."""
FIELDS_MAX = 20_000_000
"""Fields that all messages of one call may have; each takes 32 bytes."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}

_NO_ROWS: Rows = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Found:
    """The occurrences of one field, by round and then by message.

    Attributes:
        rows: the message that has it.
        start, end: where its bytes lie, the length before them excluded.
        number: its value where it is a varint; the length of bytes.
    """

    rows: Rows
    start: Rows
    end: Rows
    number: Rows


@dataclass(slots=True)
class Fields:
    """The fields of many messages, by tag."""

    _found: dict[int, list[Found]] = field(default_factory=dict)

    def of(self, number: int, wire_type: int) -> Found:
        """Return the occurrences of one field."""
        parts = self._found.get(number << 3 | wire_type)
        if not parts:
            return Found(_NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS)
        if len(parts) == 1:
            return parts[0]
        return Found(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.start for part in parts]),
            np.concatenate([part.end for part in parts]),
            np.concatenate([part.number for part in parts]),
        )

    def tags(self) -> Sequence[int]:
        """Return the tags that occur."""
        return tuple(self._found)

    def add(self, tag: int, found: Found) -> None:
        """Note occurrences; later ones come after those noted before."""
        self._found.setdefault(tag, []).append(found)


class FieldReader:
    """Reads messages that lie in one buffer.

    Args:
        data: the messages, followed by PADDING.
    """

    def __init__(self, data: bytes) -> None:
        assert data.endswith(PADDING)
        self.data = data
        self._scanner = Scanner(data)
        self._buffer = self._scanner.buffer
        self._fields_count = 0

    def numbers_at(self, start: Rows, *, size: int) -> Words:
        """Return the fixed-size numbers that start at each offset."""
        words = words_of(self.data)[start]
        return words & np.uint64(0xFFFFFFFF) if size == 4 else words

    def read(self, start: Rows, end: Rows) -> Fields:
        """Return every field of the messages at [start, end).

        Raises: ValidationFailed where a message is no message; BodyTooLarge.
        """
        fields = Fields()
        rows = np.flatnonzero(start < end)
        at, end = start[rows], end[rows]
        rounds = 0
        while len(rows):
            rounds += 1
            self._count(rounds, len(rows))
            tags = self._buffer[at]
            tag = int(tags[0])
            if tag < 0x80 and (tags == tag).all():
                found = self._values(tag, rows, at + 1, end)
                fields.add(tag, found)
                at = found.end
            else:
                at = self._mixed(fields, rows, at, end)
            more = at < end
            if not more.all():
                rows, at, end = rows[more], at[more], end[more]
        return fields

    def _mixed(self, fields: Fields, rows: Rows, at: Rows, end: Rows) -> Rows:
        """Note fields of several or long tags; return where each ends."""
        tag, after, whole = self._varint(at, end)
        _check(whole)
        ends = np.empty_like(after)
        for each in np.unique(tag).tolist():
            chosen = tag == each
            found = self._values(each, rows[chosen], after[chosen], end[chosen])
            fields.add(each, found)
            ends[chosen] = found.end
        return ends

    def _values(self, tag: int, rows: Rows, at: Rows, end: Rows) -> Found:
        wire_type = tag & 7
        if wire_type in _SIZES:
            stop = at + _SIZES[wire_type]
            _check(stop <= end)
            return Found(rows, at, stop, np.zeros(len(rows), np.int64))
        if wire_type not in {VARINT, BYTES} or tag < 8:
            raise ValidationFailed(f"proto: illegal tag {tag}")
        # `at` is at most `end`, behind which there is padding.
        firsts = self._buffer[at]
        if (firsts < 0x80).all():
            number, after = firsts.astype(np.int64), at + 1
        else:
            number, after, whole = self._varint(at, end)
            _check(whole & ((number >= 0) | (wire_type == VARINT)))
        if wire_type == VARINT:
            _check(after <= end)
            return Found(rows, at, after, number)
        _check(number <= end - after)
        return Found(rows, after, after + number, number)

    def _varint(self, at: Rows, end: Rows) -> tuple[Rows, Rows, Mask]:
        number, after, whole = self._scanner.varint(at, end=end)
        if whole.all():
            return number, after, whole
        # Nine or ten bytes: a large or negative number. Eight were read.
        buffer, last = self._buffer, len(self.data) - 1
        long = np.flatnonzero(~whole)
        ninth = buffer[np.minimum(at[long] + 8, last)].astype(np.uint64)
        tenth = buffer[np.minimum(at[long] + 9, last)].astype(np.uint64)
        eight = self.numbers_at(np.minimum(at[long], last - 7), size=8)
        high = np.uint64(0x8080808080808080)
        is_nine = ninth < 0x80
        fits = (eight & high == high) & (is_nine | (tenth < 2))
        number, after, whole = number.copy(), after.copy(), whole.copy()
        after[long] = at[long] + np.where(is_nine, 9, 10)
        whole[long] = fits & (after[long] <= end[long])
        value = number[long].view(np.uint64) | (ninth & np.uint64(0x7F)) << np.uint64(
            56
        )
        value |= np.where(is_nine, np.uint64(0), tenth) << np.uint64(63)
        number[long] = value.view(np.int64)
        return number, after, whole

    def _count(self, rounds: int, fields_count: int) -> None:
        self._fields_count += fields_count
        if rounds > ROUNDS_MAX:
            raise BodyTooLarge(
                f"request body too large: {rounds} fields in a message, "
                f"limit: {ROUNDS_MAX} fields"
            )
        if self._fields_count > FIELDS_MAX:
            raise BodyTooLarge(
                f"request body too large: {self._fields_count} fields, "
                f"limit: {FIELDS_MAX} fields"
            )


def _check(fits: Mask) -> None:
    if not fits.all():
        raise ValidationFailed("proto: illegal or truncated field")
