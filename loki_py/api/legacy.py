"""The shapes of the old API below `/api/prom`: labels as text, times as RFC 3339."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from loki_py.api.encode import encode_json
from loki_py.config.units import NS_PER_S
from loki_py.errors import RequestRejected
from loki_py.model.labels import quote
from loki_py.model.results import Data, Labels, Streams

LEGACY_PREFIX = "/api/prom/"


def query_with_regexp(query: str, regexp: str) -> str:
    """Return the query that also wants lines to match `regexp`, where there is one."""
    # On a line of its own: the query may end with a comment.
    return f"{query}\n|~ {quote(regexp)}" if regexp else query


def encode_legacy_result(data: Data, stats: Mapping[str, Any]) -> bytes:
    """Return the answer to a query.

    Raises: RequestRejected where the result is not entries.
    """
    if not isinstance(data, Streams):
        raise RequestRejected(
            "rpc error: code = Code(400) desc = legacy endpoints only support streams"
            " result type"
        )
    rows = legacy_rows(data.timestamp_ns.tolist(), data.line.to_pylist())
    edges = data.offsets.tolist()
    streams = [
        {"labels": labels_text(labels), "entries": rows[start:end]}
        for labels, start, end in zip(data.labels, edges[:-1], edges[1:], strict=True)
    ]
    return encode_json({"streams": streams, "stats": stats}) + b"\n"


def legacy_rows(
    timestamps_ns: Sequence[int], lines: Sequence[str]
) -> list[dict[str, str]]:
    """Return entries as they stand in a stream."""
    return [
        {"ts": moment_text(at_ns), "line": line}
        for at_ns, line in zip(timestamps_ns, lines, strict=True)
    ]


def labels_text(labels: Labels) -> str:
    """Return labels as a selector."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def moment_text(timestamp_ns: int) -> str:
    """Return RFC 3339 in UTC, the fraction without trailing zeros, as Go prints it."""
    seconds, fraction_ns = divmod(timestamp_ns, NS_PER_S)
    fraction = f".{fraction_ns:09d}".rstrip("0") if fraction_ns else ""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"
