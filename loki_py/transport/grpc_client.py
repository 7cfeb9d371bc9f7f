"""Call an ingester in another process: an `IngesterClient` over gRPC.

Every call has a deadline. Errors are those of `grpc_calls`.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import grpc

from loki_py.errors import BodyTooLarge, CorruptData
from loki_py.logql.question import LeafQuestion
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Scan
from loki_py.transport import grpc_names as names
from loki_py.transport.abc import (
    Discard,
    InstanceLost,
    PushAnswer,
    QuestionedSource,
    Selection,
    SurveyedSource,
)
from loki_py.transport.errors_on_wire import error_of
from loki_py.transport.grpc_calls import (
    answer_of,
    check_cut_off,
    decoded,
    error_of_call,
    method_of,
)
from loki_py.transport.partials import question_asked
from loki_py.transport.pattern_source import HeldPatterns
from loki_py.transport.remote_tail import RemoteFollowing
from loki_py.transport.remote_units import (
    MAP_S_MAX,
    Calls,
    RemoteSelection,
)
from loki_py.transport.session_calls import SessionCalls, cells_in, without_units
from loki_py.transport.tailing import Following
from loki_py.wire import messages as wire
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.messages import encode_message
from loki_py.wire.messages_batch import (
    decode_labels,
    encode_own,
    shape_of,
)
from loki_py.wire.messages_patterns import (
    PatternsAnswered,
    PatternsAsked,
    decode_rows,
)
from loki_py.wire.messages_select import (
    evaluated_told,
    matchers_asked,
    scan_asked,
    streams_told,
    units_told,
)

FLUSH_S_MAX = 3_600.0

RELEASE_S = 0.2
"""How long a session that ended may wait for others to be told of with it."""

_S_PER_NS = 1e-9


class PushEncoder:
    """Encodes a push once for all the instances that get the same one.

    What was encoded last is kept until the event loop comes round.
    """

    def __init__(self) -> None:
        self._last: tuple[EntryBatch, str, bytes, Sequence[int]] | None = None

    def encode(self, tenant: str, batch: EntryBatch) -> tuple[bytes, Sequence[int]]:
        """Return the message, and its streams' positions in the batch's."""
        last = self._last
        if last is not None and last[0] is batch and last[1] == tenant:
            return last[2], last[3]
        columns, texts, positions = encode_own(batch)
        header = wire.PushAsked(tenant, len(columns), shape_of(batch))
        data = encode_message(header, [*columns.pieces, texts])
        self._last = (batch, tenant, data, positions)
        asyncio.get_running_loop().call_soon(self._forget)
        return data, positions

    def _forget(self) -> None:
        self._last = None


class GrpcIngester(QuestionedSource, SurveyedSource):
    """One ingester in another process; used on one event loop.

    Args:
        labels: interns label sets of answers; may be shared.
        compares: whether selections are compared with those of other replicas.
    """

    def __init__(
        self,
        instance_id: str,
        channel: Any,
        encoder: PushEncoder,
        labels: LabelCache,
        *,
        call_ns_max: int,
        message_bytes_max: int,
        compares: bool,
    ) -> None:
        self.instance_id = instance_id
        self._encoder = encoder
        self._labels = labels
        self._deadline_s = call_ns_max * _S_PER_NS
        self._message_bytes_max = message_bytes_max
        self._compares = compares
        unary = partial(method_of, instance_id, channel.unary_unary)
        stream = partial(method_of, instance_id, channel.unary_stream)
        self._push = unary(names.PUSH)
        self._select = unary(names.SELECT)
        self._read = stream(names.READ)
        self._map = stream(names.MAP)
        self._digests = unary(names.DIGESTS)
        self._release = unary(names.RELEASE)
        self._patterns = unary(names.PATTERNS)
        self._series = unary(names.SERIES)
        self._tail = stream(names.TAIL)
        self._flush = unary(names.FLUSH)
        self._ended: list[str] = []
        self._releases: set[asyncio.Task[None]] = set()

    async def push(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store the batch there; see `IngesterClient.push`.

        Raises: InstanceLost where nobody knows whether it is stored.
        """
        data, positions = self._encoder.encode(tenant, batch)
        if len(data) > self._message_bytes_max:
            raise BodyTooLarge(
                f"push is {len(data)} bytes between components; limit is "
                f"{self._message_bytes_max}"
            )
        answer, _ = self._decoded(
            await self._called(self._push(data, timeout=self._deadline_s)),
            wire.PushAnswered,
        )
        return PushAnswer(
            {positions[told.stream]: error_of(told) for told in answer.rejected},
            [
                Discard(
                    told.reason,
                    told.entries,
                    told.bytes,
                    -1 if told.stream < 0 else positions[told.stream],
                )
                for told in answer.discards
            ],
        )

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """Return what is held there; its units are read when they are wanted."""
        return await self._selected(tenant, scan)

    async def select_for(
        self, tenant: str, scan: Scan, question: LeafQuestion, *, stops_early: bool
    ) -> Selection:
        """Return the same; see `QuestionedSource.select_for`."""
        return await self._selected(tenant, scan, question, stops_early=stops_early)

    async def survey(self, tenant: str, scan: Scan) -> Selection:
        """Return what is held there, without units; see `SurveyedSource.survey`."""
        asked = scan_asked(tenant, scan, cells=True, survey=True)
        answer, payload = await self._asked_what_is_held(asked)
        found = without_units(answer)
        if answer.session or not answer.tables:
            # A program that knows no surveys tells units, and is asked again.
            return found
        try:
            streams = streams_told(answer, payload, self._labels)
            cells = cells_in(answer, payload, streams)
        except CorruptData as error:
            raise InstanceLost(self.instance_id, str(error)) from error
        return replace(found, streams=streams, cells=lambda _: cells)

    async def _selected(
        self,
        tenant: str,
        scan: Scan,
        question: LeafQuestion | None = None,
        *,
        stops_early: bool = False,
    ) -> Selection:
        asked = scan_asked(
            tenant,
            scan,
            cells=self._compares,
            question=None if question is None else question_asked(question),
            stops_early=stops_early,
        )
        answer, payload = await self._asked_what_is_held(asked)
        found = without_units(answer)
        if not answer.session:
            return found
        selection = RemoteSelection(
            self.instance_id,
            answer.digests,
            answer.evaluates,
            self.session(tenant, answer.session),
            asyncio.get_running_loop(),
            wait_s_max=self._deadline_s + 1,
        )
        selection.on_forgotten(partial(self._released, answer.session))
        try:
            message, payload = evaluated_told(answer, payload)
            if message and question is not None:
                selection.keep_answer(question, answer.evaluated, message)
            units = selection.units_of(units_told(answer, payload, self._labels))
            cells = cells_in(answer, payload, units[0].streams)
        except CorruptData as error:
            raise InstanceLost(self.instance_id, str(error)) from error
        return replace(
            found, units=units, streams=units[0].streams, cells=lambda _: cells
        )

    async def _asked_what_is_held(
        self, asked: wire.SelectAsked
    ) -> tuple[wire.SelectAnswered, memoryview]:
        call = self._select(encode_message(asked), timeout=self._deadline_s)
        return self._decoded(await self._called(call), wire.SelectAnswered)

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """Return label sets there; see `IngesterClient.series`."""
        asked = wire.SeriesAsked(tenant, matchers_asked(matchers), start_ns, end_ns)
        answer, payload = self._decoded(
            await self._called(
                self._series(encode_message(asked), timeout=self._deadline_s)
            ),
            wire.SeriesAnswered,
        )
        try:
            return decode_labels(payload, self._labels) if answer.streams else ()
        except CorruptData as error:
            raise InstanceLost(self.instance_id, str(error)) from error

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> HeldPatterns:
        """Return what is counted there; see `PatternSource.patterns`."""
        asked = PatternsAsked(tenant, matchers_asked(matchers), start_ns, end_ns)
        call = self._patterns(encode_message(asked), timeout=self._deadline_s)
        answer, payload = self._decoded(await self._called(call), PatternsAnswered)
        try:
            rows = await asyncio.to_thread(decode_rows, payload)
        except CorruptData as error:
            raise InstanceLost(self.instance_id, str(error)) from error
        return HeldPatterns(answer.writer, rows, tuple(answer.covered))

    def tail(self, tenant: str, matchers: Sequence[Matcher]) -> Following:
        """Follow it; see `EntryFeed.tail`."""
        asked = wire.TailAsked(tenant, matchers_asked(matchers))
        call = self._tail(encode_message(asked))
        return RemoteFollowing(self.instance_id, call, self._labels)

    async def flush(self) -> None:
        """Flush it; see `IngesterClient.flush`."""
        data = encode_message(wire.FlushAsked())
        await self._called(self._flush(data, timeout=FLUSH_S_MAX))

    def session(self, tenant: str, name: str) -> Calls:
        """Return the calls that read a session."""
        return SessionCalls(self, tenant, name)

    async def fetch_rows(self, asked: wire.ReadAsked, bits: bytes) -> list[bytes]:
        """Return the messages that a read is answered with."""
        call = self._read(encode_message(asked, [bits]), timeout=self._deadline_s)
        return await self._all_of(call)

    async def fetch_digests(self, asked: wire.DigestsAsked, bits: bytes) -> bytes:
        """Return what digests are answered with."""
        data = encode_message(asked, [bits])
        return await self._called(self._digests(data, timeout=self._deadline_s))

    async def fetch_partials(self, asked: wire.MapAsked, bits: bytes) -> list[bytes]:
        """Return the messages that a plan's leaf is answered with."""
        call = self._map(encode_message(asked, [bits]), timeout=MAP_S_MAX)
        return await self._all_of(call)

    async def _all_of(self, call: Any) -> list[bytes]:
        """Return all messages of an answer; each is waited for as long as a call."""
        clock = asyncio.get_running_loop().time
        found: list[bytes] = []
        try:
            async with asyncio.timeout(self._deadline_s) as bound:
                async for message in call:
                    found.append(message)
                    bound.reschedule(clock() + self._deadline_s)
        except TimeoutError:
            raise InstanceLost(self.instance_id, "no answer in time") from None
        except grpc.aio.AioRpcError as error:
            raise error_of_call(self.instance_id, error) from error
        except grpc.aio.UsageError as error:
            raise InstanceLost(self.instance_id, str(error)) from error
        except asyncio.CancelledError:
            check_cut_off(self.instance_id)
            raise
        return found

    def _released(self, session: str) -> None:
        self._ended.append(session)
        if len(self._ended) == 1:
            asyncio.get_running_loop().call_later(RELEASE_S, self._release_ended)

    def _release_ended(self) -> None:
        ended, self._ended = self._ended, []
        task = asyncio.get_running_loop().create_task(self._tell_released(ended))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _tell_released(self, sessions: list[str]) -> None:
        data = encode_message(wire.ReleaseAsked(sessions[0], sessions[1:]))
        try:
            await self._release(data, timeout=self._deadline_s)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, InstanceLost):
            # They end by themselves when they are not read any more.
            return

    async def _called(self, call: Awaitable[bytes]) -> bytes:
        return await answer_of(self.instance_id, call)

    def _decoded(self, data: bytes, kind: type[Any]) -> tuple[Any, memoryview]:
        return decoded(self.instance_id, data, kind)
