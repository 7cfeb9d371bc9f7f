"""Push to a store and ask it, from Python."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import quote, urlencode

from loki_py.client.answers import (
    CATEGORIZED,
    Rows,
    decode_names,
    decode_rows,
    decode_samples,
    decode_series,
)
from loki_py.client.bodies import (
    JSON_HEADERS,
    PUSH,
    Item,
    bodies,
    column_items,
    items_of,
)
from loki_py.client.connection import Connections, Server
from loki_py.client.entries import NS_PER_S, Entry, Moment, ns_of, ns_of_span
from loki_py.client.frames import Entries, Samples
from loki_py.client.paging import Page, pages
from loki_py.client.tables import table_items
from loki_py.client.tail import Tail

Params: TypeAlias = list[tuple[str, str]]
Span: TypeAlias = timedelta | float
Direction: TypeAlias = Literal["forward", "backward"]

API = "/loki/api/v1"
PAGE_ENTRIES = 1000
HOUR = timedelta(hours=1)


class Client:
    """One store, as one tenant.

    May be used from several threads. Every method raises RequestFailed where the
    store cannot be reached or refuses; what may succeed later (429, 5xx, no
    answer) was repeated before, with growing pauses.

    A moment is a `datetime` with a time zone or nanoseconds since 1970, a span a
    `timedelta` or seconds. Ranges are half open: `end` itself is not in them. Where
    `start` is left out it is an hour before `end`, and `end` is now.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:3100",
        *,
        tenant: str | None = None,
        token: str | None = None,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        timeout_s: float = 60.0,
        retries_max: int = 5,
        proxy: str | None = None,
    ) -> None:
        """Connect when first needed.

        Args:
            token: a bearer token; goes before `auth`, user name and password.
            ca_file: certificates to trust instead of the system's.
            timeout_s: how long connecting, or a silence in an answer, may last.
            retries_max: how often a request is repeated.
            proxy: the HTTP proxy to ask through, `http://[user:password@]host:port`.
        """
        self._server = Server(
            url=url,
            tenant=tenant,
            token=token,
            auth=auth,
            headers=headers or {},
            ca_file=ca_file,
            timeout_s=timeout_s,
            proxy=proxy,
        )
        self._connections = Connections(self._server)
        self._retries_max = retries_max

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; the client may still be used and opens new ones."""
        self._connections.close()

    def push(self, entries: Iterable[Entry]) -> int:
        """Store entries and return how many; they are durable when this returns.

        Sent in several requests where there are many. Where one is refused, those
        before it are stored; of the refused one what was right is stored as well.
        Pushing the same entries again does not store them twice.
        """
        return self._push(items_of(entries))

    def push_lines(
        self,
        labels: Mapping[str, str],
        lines: Sequence[str],
        *,
        timestamps_ns: Sequence[int] | None = None,
        metadata: Mapping[str, Sequence[str | None]] | None = None,
    ) -> int:
        """Store columns of one stream, see `push`.

        Args:
            timestamps_ns: now, and a nanosecond more for each line, where left out.
            metadata: structured metadata by name, a value or None for each line.
        """
        if timestamps_ns is None:
            now_ns = time.time_ns()
            timestamps_ns = range(now_ns, now_ns + len(lines))
        return self._push(column_items(labels, lines, timestamps_ns, metadata or {}))

    def push_table(
        self,
        table: Any,
        *,
        labels: Sequence[str],
        metadata: Sequence[str] | None = None,
    ) -> int:
        """Store an Arrow table, or a polars or pandas frame, see `push`.

        Args:
            table: with columns `timestamp` (timestamps, or nanoseconds) and `line`.
            labels: columns that make the streams.
            metadata: columns that become structured metadata; all others where
                left out.
        """
        return self._push(table_items(table, labels=labels, metadata=metadata))

    def _push(self, items: Iterable[Item]) -> int:
        pushed = 0
        for body, count in bodies(items):
            self._connections.request(
                "POST",
                PUSH,
                body=body,
                headers=JSON_HEADERS,
                retries_max=self._retries_max,
            )
            pushed += count
        return pushed

    def query(
        self,
        query: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = 1000,
        direction: Direction = "backward",
        page_entries: int = PAGE_ENTRIES,
    ) -> Entries:
        """Return the entries of a log query.

        Args:
            limit: entries at most; None for all of them, which `query_pages`
                gives without holding them at once.
            direction: newest first, or `forward`, oldest first.
            page_entries: entries that one request asks for.

        Raises: WrongKind for a metric query.
        """
        rows = Rows()
        found = self._pages(query, start, end, limit, direction, page_entries)
        for page in found:
            rows.append(page)
        return Entries(rows)

    def query_pages(
        self,
        query: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        direction: Direction = "backward",
        page_entries: int = PAGE_ENTRIES,
    ) -> Iterator[Entries]:
        """Yield the entries of a log query page by page, see `query`."""
        found = self._pages(query, start, end, limit, direction, page_entries)
        return (Entries(rows) for rows in found)

    def _pages(
        self,
        query: str,
        start: Moment | None,
        end: Moment | None,
        limit: int | None,
        direction: Direction,
        page_entries: int,
    ) -> Iterator[Rows]:
        if direction not in {"forward", "backward"}:
            raise ValueError(f"direction is forward or backward, not {direction!r}")
        if page_entries < 1:
            raise ValueError(f"a page has one entry at least, not {page_entries}")
        start_ns, end_ns = _range_of(start, end)
        forward = direction == "forward"

        def fetch(page: Page) -> Rows:
            body = self._get(f"{API}/query_range", page.params(query), CATEGORIZED)
            return decode_rows(body, forward=forward)

        whole = Page(start_ns, end_ns, page_entries, forward)
        return pages(fetch, whole, entries_max=limit)

    def query_samples(
        self,
        query: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        step: Span | None = None,
    ) -> Samples:
        """Return a metric query's value at every step of a range.

        Args:
            step: the store chooses about 250 steps where it is left out.

        Raises: WrongKind for a log query.
        """
        params = [("query", query), *_range_params(start, end)]
        if step is not None:
            params.append(("step", f"{ns_of_span(step) / NS_PER_S:.9f}"))
        return Samples(decode_samples(self._get(f"{API}/query_range", params)))

    def query_instant(self, query: str, *, at: Moment | None = None) -> Samples:
        """Return a metric query's value at one moment; now, where left out.

        Raises: WrongKind where the store answers with entries.
        """
        params = [("query", query)]
        if at is not None:
            params.append(("time", str(ns_of(at))))
        return Samples(decode_samples(self._get(f"{API}/query", params)))

    def labels(
        self,
        *,
        selector: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> list[str]:
        """Return the names of labels, of the streams that `selector` matches."""
        params = _range_params(start, end, selector=selector)
        return decode_names(self._get(f"{API}/labels", params))

    def label_values(
        self,
        name: str,
        *,
        selector: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> list[str]:
        """Return the values of a label, of the streams that `selector` matches."""
        params = _range_params(start, end, selector=selector)
        path = f"{API}/label/{quote(name, safe='')}/values"
        return decode_names(self._get(path, params))

    def series(
        self,
        *selectors: str,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> list[dict[str, str]]:
        """Return the label sets of the streams that one of `selectors` matches."""
        params = _range_params(start, end)
        params += [("match[]", selector) for selector in selectors]
        return decode_series(self._get(f"{API}/series", params))

    def tail(
        self,
        query: str,
        *,
        start: Moment | None = None,
        delay_s: int = 0,
        limit: int = 100,
    ) -> Tail:
        """Follow a log query; iterate over what this returns with `async for`.

        Args:
            start: where to begin; an hour ago, where left out.
            delay_s: how long entries are held back so that they come in order,
                0 to 5.
            limit: entries of before now that are given at most.
        """
        start_ns = time.time_ns() - ns_of_span(HOUR) if start is None else ns_of(start)
        return Tail(
            self._server, query, start_ns=start_ns, delay_s=delay_s, limit=limit
        )

    def _get(
        self, path: str, params: Params, headers: Mapping[str, str] | None = None
    ) -> bytes:
        return self._connections.request(
            "GET",
            f"{path}?{urlencode(params)}",
            headers=headers,
            retries_max=self._retries_max,
        )


def _range_of(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """Return start and end in ns; what was pushed just now is before a left out end."""
    end_ns = time.time_ns() + NS_PER_S if end is None else ns_of(end)
    start_ns = end_ns - ns_of_span(HOUR) if start is None else ns_of(start)
    return start_ns, end_ns


def _range_params(
    start: Moment | None, end: Moment | None, *, selector: str | None = None
) -> Params:
    start_ns, end_ns = _range_of(start, end)
    params = [("start", str(start_ns)), ("end", str(end_ns))]
    if selector is not None:
        params.append(("query", selector))
    return params
