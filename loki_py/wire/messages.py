"""What components send each other: a version, a header, and columns behind it.

Format (version 1), integers little-endian:

    message := "LP"  version:u16  header_bytes:u32  header:u8[header_bytes]  payload

`header` is JSON with the fields of one of the structs below, filled up with spaces
so that the payload begins at a multiple of 8 bytes. A reader ignores
fields that it does not know and refuses versions that it does not know. What
the payload is depends on the header, see `messages_batch` and `messages_select`.

Pure: `transport` sends and receives.
"""

import struct
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from loki_py.errors import BadMagic, CorruptData, TruncatedData, UnknownVersion

MAGIC = b"LP"
VERSION = 1
_HEAD = struct.Struct("<2sHI")
_ENCODER = msgspec.json.Encoder()
_DECODERS: "dict[type[msgspec.Struct], msgspec.json.Decoder[Any]]" = {}

PLANS = "1"
"""Which plans and partial results this program makes of a question. Peers that
tell the same can evaluate for each other; changes with the meaning of either."""

Header = TypeVar("Header", bound=msgspec.Struct)


class BatchShape(msgspec.Struct):
    """How the columns behind a header are to be read.

    Attributes:
        rows: entries.
        names: of the metadata columns, in order.
        has_line: whether there is a line column.
        has_rest: whether a map column holds further metadata.
    """

    rows: int
    names: list[str] = []
    has_line: bool = True
    has_rest: bool = False


class PushAsked(msgspec.Struct):
    """A push. Behind it: the batch, then the label texts that its rows refer to."""

    tenant: str
    batch_bytes: int
    batch: BatchShape


class Rejection(msgspec.Struct):
    """An error: its class in `errors`, its text, its HTTP status."""

    kind: str
    text: str
    status: int = 0
    stream: int = -1


class Discarded(msgspec.Struct):
    """Entries of a stream refused for one reason.

    Attributes:
        stream: position among the label texts of the push; -1 where nobody said.
    """

    reason: str
    entries: int
    bytes: int
    stream: int = -1


class PushAnswered(msgspec.Struct):
    """What an ingester did with a push; nothing is behind it."""

    rejected: list[Rejection] = []
    discards: list[Discarded] = []


class MatcherAsked(msgspec.Struct):
    """One matcher."""

    name: str
    type: str
    value: str


class ColumnsAsked(msgspec.Struct):
    """Which columns are wanted; metadata null means every name."""

    line: bool
    metadata: list[str] | None


class QuestionAsked(msgspec.Struct):
    """One leaf of a query's plan."""

    text: str
    leaf: int
    start_ns: int
    end_ns: int
    step_ns: int
    limit: int
    forward: bool
    interval_ns: int
    instant: bool
    categorize: bool


class SelectAsked(msgspec.Struct):
    """A scan; nothing is behind it.

    Attributes:
        cells: whether to tell the cells of what is found.
        survey: whether nothing will be read, so that units need not be told.
        question: what the units are asked for; the first of them may be evaluated
            at once, by those who know the plan.
        plans: of the question, see `PLANS`.
        stops_early: whether the first few may suffice.
    """

    tenant: str
    matchers: list[MatcherAsked]
    start_ns: int
    end_ns: int
    columns: ColumnsAsked
    newest_first: bool
    literals: list[str] = []
    cells: bool = False
    survey: bool = False
    question: QuestionAsked | None = None
    plans: str = ""
    stops_early: bool = False


class UnitTold(msgspec.Struct):
    """One readable unit of a selection.

    Attributes:
        table: which of the selection's stream tables its rows refer to.
        runs: how many of the runs behind the header are its.
    """

    table: int
    min_ns: int
    max_ns: int
    rows_max: int
    origin: str
    runs: int


class SelectAnswered(msgspec.Struct):
    """A selection, to be read unit by unit while the session lasts.

    Behind it: a `MapAnswered` and what lies behind that, if units were evaluated;
    the runs of all units (all `min_ns` i64, then all `max_ns` i64, then
    all `stream` u32), the label texts of each table, the cells (all `slice` i64,
    `count` i64, `total` u64, `stream` u32).

    Attributes:
        session: what a read names it by; "" where there is nothing to read.
        digests: how numbers of entries are made, see `digests.KIND`.
        tables: bytes of the label texts of each table.
        evaluates: which plans the peer can evaluate, see `PLANS`.
        cells: how many there are; -1 where none are told. They refer to table 0.
        shift: 2^shift ns are a slice of the cells.
        missing: what the ingester once held and cannot read any more, in words.
        skipped: chunks that were passed over, by the names of `Skipped`.
        evaluated: how many units, from the first, were.
        evaluated_bytes: of the message that says what came of them.
    """

    session: str
    chunks_matched: int = 0
    packs_covered: list[str] = []
    tables: list[int] = []
    units: list[UnitTold] = []
    digests: str = ""
    evaluates: str = ""
    cells: int = -1
    shift: int = 0
    missing: list[str] = []
    skipped: dict[str, int] = {}
    evaluated: int = 0
    evaluated_bytes: int = 0


class ShareAsked(msgspec.Struct):
    """Which rows of a session's units are meant.

    Behind the header that it is in: a bit for each label set of table 0, the first
    in the highest bit of the first byte; set for those that are meant.

    Attributes:
        spans: half-open, in ns; ascending and apart.
    """

    spans: list[tuple[int, int]]


class ReadAsked(msgspec.Struct):
    """Ask for the rows of one unit of a session.

    Attributes:
        share: which of the rows; null for all.
    """

    tenant: str
    session: str
    unit: int
    columns: ColumnsAsked
    share: ShareAsked | None = None


class ReadAnswered(msgspec.Struct):
    """Some of the rows of a unit; a batch is behind it.

    Attributes:
        stats: what reading cost, in the first message of an answer only.
    """

    batch: BatchShape
    stats: dict[str, int] = {}


class DigestsAsked(msgspec.Struct):
    """Ask for the numbers of a unit's entries, in the order in which it is read."""

    tenant: str
    session: str
    unit: int
    share: ShareAsked | None = None


class DigestsAnswered(msgspec.Struct):
    """Behind it: keys u64[rows], times i64[rows]."""

    rows: int


class MapAsked(msgspec.Struct):
    """Ask for what a plan makes of the rows of some units of a session."""

    tenant: str
    session: str
    units: list[int]
    share: ShareAsked
    question: QuestionAsked


class ColumnTold(msgspec.Struct):
    """A column of numbers.

    Attributes:
        type: numpy's name of what lies there.
        bytes: how many.
        is_constant: whether one number stands for all.
    """

    type: str
    bytes: int
    is_constant: bool = False


class RowsTold(msgspec.Struct, tag="rows"):
    """Entries that survive the pipeline of a log query."""

    batch: BatchShape
    batch_bytes: int
    kept: int


class SamplesTold(msgspec.Struct, tag="samples"):
    """Samples or states of a range aggregation.

    Attributes:
        labels: of each series.
        rows: of each column.
        columns: series, times or buckets, and what they are.
        failure: of the query, where a sample has an error.
    """

    labels: list[list[tuple[str, str]]]
    rows: int
    columns: list[ColumnTold]
    kept: int
    failure: str = ""


class MapAnswered(msgspec.Struct):
    """Some partial results, in order; their columns are behind it.

    Attributes:
        stats: what reading cost, in the last message of an answer only.
    """

    partials: list[RowsTold | SamplesTold]
    stats: dict[str, int] = {}


class ReleaseAsked(msgspec.Struct, omit_defaults=True):
    """Forget a session, and more of them."""

    session: str
    more: list[str] = []


class SeriesAsked(msgspec.Struct):
    """Ask for label sets."""

    tenant: str
    matchers: list[MatcherAsked]
    start_ns: int
    end_ns: int


class SeriesAnswered(msgspec.Struct):
    """Label texts are behind it."""

    streams: int


class TailAsked(msgspec.Struct):
    """Ask for what comes from now on."""

    tenant: str
    matchers: list[MatcherAsked]


class TailTold(msgspec.Struct):
    """Some of what came. Behind it: the batch, then its label texts.

    The first message of an answer has no rows: it says that following began.

    Attributes:
        dropped: how many entries there was no room for.
        is_dropped: whether the batch is of those.
    """

    batch_bytes: int
    batch: BatchShape
    dropped: int = 0
    is_dropped: bool = False


class FlushAsked(msgspec.Struct):
    """Ask to write everything held to object storage."""


class Done(msgspec.Struct):
    """It is done."""


def encode_message(header: msgspec.Struct, payload: Sequence[Any] = ()) -> bytes:
    """Return the bytes of a message; the payload's pieces are copied once."""
    told = _ENCODER.encode(header)
    told += b" " * (-len(told) % 8)
    return b"".join((_HEAD.pack(MAGIC, VERSION, len(told)), told, *payload))


def decode_message(data: bytes, kind: type[Header]) -> tuple[Header, memoryview]:
    """Return the header and the payload behind it, which is not copied.

    Raises: UnknownVersion where a newer program sent it, CorruptData where
    nobody of us did.
    """
    if len(data) < _HEAD.size:
        raise TruncatedData(f"message has {len(data)} bytes; its head {_HEAD.size}")
    magic, version, header_bytes = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise BadMagic(f"message begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise UnknownVersion(
            f"message has version {version}; this program knows {VERSION}"
        )
    view = memoryview(data)[_HEAD.size :]
    if len(view) < header_bytes:
        raise TruncatedData(f"message wants {header_bytes} bytes, {len(view)} remain")
    try:
        header: Header = _decoder_of(kind).decode(view[:header_bytes])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptData(f"message header does not parse: {error}") from error
    return header, view[header_bytes:]


def _decoder_of(kind: type[Header]) -> "msgspec.json.Decoder[Header]":
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    return decoder
