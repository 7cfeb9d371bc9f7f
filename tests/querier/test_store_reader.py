"""Flushed data through index and packs: found, read, bounded, checked."""

import io

import numpy as np
import pyarrow as pa
import pytest

from loki_py.chunks.pack_reader import Pack
from loki_py.chunks.pack_writer import PackWriter
from loki_py.chunks.sorting import sort_and_deduplicate
from loki_py.errors import DataUnreadable
from loki_py.index.files import PackEntry, encode_index_file
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.object_keys import index_key, pack_key, ulid_of
from loki_py.model.scan import Columns, ReadStats, Scan, Skipped
from loki_py.querier import pack_units as units_module
from loki_py.querier import store_reader as reader_module
from loki_py.querier.merge import merged
from loki_py.querier.store_reader import StoreReader
from loki_py.runtime.clock import ManualClock
from loki_py.storage.memory import MemoryStore

S = 1_000_000_000
NOW = 1_700_000_000 * S
STREAMS = tuple(LabelSet.of({"app": f"app{i}"}) for i in range(4))
ANY = (Matcher("app", MatchType.REGEXP, ".+"),)


def entries(rows, *, start=0, streams=STREAMS):
    """`rows` entries of each stream, one a second."""
    count = rows * len(streams)
    times = np.tile(np.arange(start, start + rows), len(streams)) * S + NOW
    return EntryBatch(
        streams,
        np.repeat(np.arange(len(streams), dtype=np.uint32), rows),
        times.astype(np.int64),
        pa.array([f"line {i} of many" for i in range(count)], pa.large_string()),
        {"trace": pa.array([f"t{i}" for i in range(count)], pa.large_string())},
    )


class Bucket:
    """A memory store with packs and index files as a flush writes them."""

    def __init__(self):
        self.store = MemoryStore()
        self.serial = 0

    def flush(self, batch, tenant="t"):
        """Write one pack and its index file; returns key and bytes of the latter."""
        self.serial += 1
        ulid = ulid_of(NOW, self.serial.to_bytes(10, "big"))
        batch, _ = sort_and_deduplicate(batch)
        sink = io.BytesIO()
        names = sorted(batch.metadata)
        writer = PackWriter(sink, tenant=tenant, writer="i-0", metadata_names=names)
        writer.append(batch)
        summary = writer.close()
        key = pack_key(tenant, now_ns=NOW, ulid=ulid, writer="i-0")
        self.store.put(key, sink.getvalue())
        entry = PackEntry(
            key,
            summary.object_bytes,
            summary.footer_bytes,
            summary.sha256,
            summary.chunks,
        )
        data = encode_index_file([entry], tenant=tenant, writer="i-0")
        key = index_key(tenant, now_ns=NOW, ulid=ulid, writer="i-0")
        self.store.put(key, data)
        return key, data

    def keys(self, kind):
        return list(self.store.list(f"t/{kind}/"))

    def damage(self, key, at):
        data = bytearray(self.store.get(key))
        data[at] ^= 0x10
        self.store.put(key, bytes(data))


@pytest.fixture
def bucket():
    return Bucket()


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def reader(bucket, clock):
    made = StoreReader(bucket.store, clock)
    yield made
    made.close()


def scan(matchers=ANY, start=0, end=10_000, **more):
    return Scan(matchers, NOW + start * S, NOW + end * S, **more)


def lines_of(units, columns=Columns(), stats=None):  # noqa: B008
    stats = stats or ReadStats()
    batches = [unit.read(columns, stats) for unit in units]
    return sorted(line for batch in batches for line in batch.line.to_pylist())


async def test_what_was_flushed_is_read_back(bucket, reader):
    batch = entries(10)
    bucket.flush(batch)
    stats = ReadStats()

    found = await reader.select("t", scan())

    assert lines_of(found.units, stats=stats) == sorted(batch.line.to_pylist())
    assert stats.block_rows == 40
    assert stats.block_bytes == found.line_bytes
    assert stats.compressed_bytes > 0
    assert (stats.packs_fetched, found.streams_matched) == (1, 4)


async def test_streams_and_times_select(bucket, reader):
    bucket.flush(entries(10))
    one = (Matcher("app", MatchType.EQUAL, "app2"),)

    found = await reader.select("t", scan(one, start=3, end=5))

    assert lines_of(found.units) == ["line 23 of many", "line 24 of many"]


async def test_nothing_of_a_pack_is_fetched_before_a_unit_is_read(bucket, reader):
    bucket.flush(entries(10))
    for key in bucket.keys("packs"):
        bucket.store.delete(key)

    found = await reader.select("t", scan())

    assert [unit.rows_max for unit in found.units] == [40]
    assert found.units[0].max_ns == NOW + 9 * S
    with pytest.raises(DataUnreadable, match=r"t/packs/.* is gone"):
        lines_of(found.units)


async def test_packs_that_another_source_covers_are_skipped(bucket, reader):
    bucket.flush(entries(10))

    found = await reader.select("t", scan(), skip=frozenset(bucket.keys("packs")))

    assert (found.units, found.chunks_matched) == ([], 0)
    assert found.skipped == Skipped(held_locally=4)


@pytest.mark.parametrize("names", ["app2", "app.", "none"])
async def test_chunks_that_do_not_match_are_counted(bucket, reader, names):
    """By stream and by time, each once, however many streams match."""
    bucket.flush(entries(10))
    bucket.flush(entries(10, start=100))
    streams = {"app2": 1, "app.": 4, "none": 0}[names]
    wanted = (Matcher("app", MatchType.REGEXP, names),)

    skipped = (await reader.select("t", scan(wanted, start=3, end=5))).skipped

    assert skipped == Skipped(outside_time=streams, other_streams=2 * (4 - streams))


async def test_store_whose_chunks_all_match_skips_none(bucket, reader):
    bucket.flush(entries(10))

    assert (await reader.select("t", scan())).skipped == Skipped()


async def test_tenants_do_not_see_each_other(bucket, reader):
    bucket.flush(entries(10), tenant="other")

    assert (await reader.select("t", scan())).units == []


async def test_a_new_index_file_is_seen_after_the_refresh(bucket, reader, clock):
    assert (await reader.select("t", scan())).units == []
    bucket.flush(entries(1))

    before = await reader.select("t", scan())
    clock.advance(reader_module.INDEX_REFRESH_NS + 1)
    after = await reader.select("t", scan())

    assert (before.units, len(after.units)) == ([], 1)


async def test_an_index_is_prepared_until_its_listing_is_old(bucket, reader, clock):
    bucket.flush(entries(10))
    before = reader.is_prepared("t")

    await reader.prepare("t")

    for key in bucket.keys("index"):
        bucket.store.delete(key)
    found = await reader.select("t", scan())
    assert (before, reader.is_prepared("t")) == (False, True)
    assert len(found.units) == 1, "nothing is listed again"
    clock.advance(reader_module.INDEX_REFRESH_NS + 1)
    assert not reader.is_prepared("t")


@pytest.mark.parametrize("at_once", [0, 10_000])
async def test_long_and_short_indices_are_looked_through_alike(
    bucket, reader, monkeypatch, at_once
):
    monkeypatch.setattr(reader_module, "CHUNKS_AT_ONCE_MAX", at_once)
    batch = entries(10)
    bucket.flush(batch)
    none = (Matcher("app", MatchType.EQUAL, "none"),)

    found = await reader.select("t", scan())
    skipped = await reader.select("t", scan(), skip=frozenset(bucket.keys("packs")))

    assert lines_of(found.units) == sorted(batch.line.to_pylist())
    assert (len(skipped.units), skipped.skipped) == (0, Skipped(held_locally=4))
    assert (await reader.select("t", scan(none))).skipped == Skipped(other_streams=4)


async def test_what_this_process_flushes_is_seen_at_once(bucket, reader):
    await reader.select("t", scan())

    reader.index_added("t", *bucket.flush(entries(1)))

    assert len((await reader.select("t", scan())).units) == 1


async def test_a_deleted_index_file_is_forgotten(bucket, reader, clock):
    key, _ = bucket.flush(entries(1))
    assert len((await reader.select("t", scan())).units) == 1
    bucket.store.delete(key)
    clock.advance(reader_module.INDEX_REFRESH_NS + 1)

    assert (await reader.select("t", scan())).units == []


async def test_a_damaged_index_file_is_made_up_for_by_its_packs(bucket, reader, clock):
    """Packs tell their own chunks; the damaged file is not read again."""
    key, _ = bucket.flush(entries(1))
    bucket.flush(entries(1, start=5))
    bucket.damage(key, 40)

    found = await reader.select("t", scan())
    clock.advance(reader_module.INDEX_REFRESH_NS + 1)
    again = await reader.select("t", scan())

    assert len(lines_of(found.units)) == len(lines_of(again.units)) == 8
    assert found.missing == again.missing == ()


async def test_a_pack_that_only_a_damaged_index_file_names_is_named(bucket, reader):
    """What cannot be found any more is said, and the rest is served."""
    key, _ = bucket.flush(entries(1))
    bucket.flush(entries(1, start=5))
    pack = bucket.keys("packs")[0]
    bucket.damage(key, 40)
    bucket.damage(pack, -6)

    found = await reader.select("t", scan())

    assert len(lines_of(found.units)) == 4
    assert any(key in problem for problem in found.missing)
    assert any(pack in problem for problem in found.missing)
    with pytest.raises(DataUnreadable, match=key):
        await reader.series("t", ANY, start_ns=0, end_ns=NOW * 2)


async def test_a_damaged_pack_is_named_and_the_rest_is_served(bucket, reader):
    bucket.flush(entries(2))
    bucket.flush(entries(2, start=5))
    first, second = bucket.keys("packs")
    found = await reader.select("t", scan())
    (damaged,) = [unit for unit in found.units if unit.origin == first]
    footer = Pack.open(pa.py_buffer(bucket.store.get(first))).footer
    ranges = footer.byte_ranges(damaged.pieces()[0].parts, Columns())
    bucket.damage(first, ranges[-1][0] + 40)
    reader._packs = reader_module._OpenPacks(bucket.store)
    found = await reader.select("t", scan())

    with pytest.raises(DataUnreadable, match=f"pack {first} is damaged"):
        lines_of(unit for unit in found.units if unit.origin == first)
    assert len(lines_of(u for u in found.units if u.origin == second)) == 8


async def test_a_pack_of_another_length_is_damaged(bucket, reader):
    bucket.flush(entries(2))
    (key,) = bucket.keys("packs")
    bucket.store.put(key, bucket.store.get(key)[:-1])

    found = await reader.select("t", scan())

    with pytest.raises(DataUnreadable, match="the index says"):
        lines_of(found.units)


async def test_many_chunks_become_units_of_bounded_size(bucket, reader, monkeypatch):
    monkeypatch.setattr(units_module, "UNIT_LINE_BYTES", 300)
    batch = entries(20)
    bucket.flush(batch)

    found = await reader.select("t", scan())

    assert len(found.units) > 1
    assert lines_of(found.units) == sorted(batch.line.to_pylist())


async def test_a_unit_in_pieces_holds_the_same_rows(bucket, reader):
    batch = entries(20_000)
    bucket.flush(batch)
    (unit,) = (await reader.select("t", scan(end=30_000), stops_early=True)).units

    pieces = unit.pieces()

    assert len(pieces) > 1
    assert lines_of(pieces) == sorted(batch.line.to_pylist())
    assert {piece.origin for piece in pieces} == {unit.origin}
    assert max(piece.max_ns for piece in pieces) == unit.max_ns
    assert all(piece.rows_max >= len(lines_of([piece])) for piece in pieces)


async def test_a_narrowed_unit_holds_the_rows_of_that_time(bucket, reader):
    bucket.flush(entries(10, streams=STREAMS[:1]))
    (unit,) = (await reader.select("t", scan(start=2))).units

    narrowed = unit.narrowed(start_ns=0, end_ns=NOW + 4 * S)

    assert lines_of([narrowed]) == ["line 2 of many", "line 3 of many"]


async def test_entries_in_two_packs_come_out_once(bucket, reader):
    """A flush that was interrupted after its pack is done again."""
    batch = entries(50)
    bucket.flush(batch)
    bucket.flush(batch)
    found = await reader.select("t", scan())
    stats = ReadStats()

    assert lines_of(merged(found.units, scan()), stats=stats) == sorted(
        batch.line.to_pylist()
    )
    assert stats.duplicates == 200


async def test_open_packs_are_bounded(bucket, reader, monkeypatch):
    monkeypatch.setattr(reader_module, "PACKS_OPEN_MAX", 1)
    bucket.flush(entries(1))
    bucket.flush(entries(1, start=5))
    found = await reader.select("t", scan())
    stats = ReadStats()

    lines_of([*found.units, *found.units], stats=stats)

    assert stats.packs_fetched == 4
    assert len(reader._packs._kept) == 1


async def test_chunk_tables_are_bounded(bucket, reader, monkeypatch):
    monkeypatch.setattr(reader_module, "INDEX_BYTES_MAX", 1)
    bucket.flush(entries(1))
    await reader.select("t", scan())
    await reader.select("u", scan())

    assert list(reader._tenants) == ["u"]
    assert len((await reader.select("t", scan())).units) == 1


async def test_labels_and_series_come_from_the_index(bucket, reader):
    bucket.flush(entries(1))
    times = {"start_ns": NOW, "end_ns": NOW + S}
    one = (Matcher("app", MatchType.EQUAL, "app2"),)

    assert list(await reader.label_names("t", (), **times)) == ["app"]
    assert list(await reader.label_values("t", "app", one, **times)) == ["app2"]
    assert list(await reader.series("t", one, **times)) == [STREAMS[2]]
