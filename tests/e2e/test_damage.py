"""Damaged files: noticed, the rest is served, and nothing wrong is returned."""

import random
import shutil
import time
from pathlib import Path

import pytest
from harness import Api, Server, until

FLIPS = 6
FLIPS_NIGHTLY = 100
STREAMS = ("a", "b", "c")
PUSHES = 12
LINES = 250
NOW_NS = time.time_ns() - 60 * 10**9

SETTINGS = {
    "log": {"ingester.head_size": "1GB"},
    "blocks": {"ingester.head_size": "1MB", "ingester.block_size": "256KB"},
    "packs": {"ingester.hot_tier_size": "0B"},
}
# Which files are damaged; the folder that they are in is shut down cleanly, or
# killed where a clean stop would leave nothing to damage.
KINDS = {
    "wal segment": ("log", "wal/*"),
    "block file": ("blocks", "blocks/*.blocks"),
    "pack": ("packs", "chunks/*/packs/*/*"),
    "index file": ("packs", "chunks/*/index/*/*"),
}


def lines_of(stream):
    """Return what the stream holds; lines that do not compress well."""
    rng = random.Random(stream)
    return [
        (NOW_NS + k, f"{stream} {k} {rng.getrandbits(2048):x}")
        for k in range(PUSHES * LINES)
    ]


WRITTEN = {stream: lines_of(stream) for stream in STREAMS}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Data directories as they are left behind, by kind of what they hold."""
    return {
        name: left_behind(name, tmp_path_factory.mktemp(name) / "left")
        for name in SETTINGS
    }


def left_behind(name, folder):
    with Server(SETTINGS[name], directory=folder) as server:
        folder.mkdir()
        server.start()
        with Api(server.port) as api:
            for number in range(PUSHES):
                rows = slice(number * LINES, (number + 1) * LINES)
                for stream in STREAMS:
                    pairs = WRITTEN[stream][rows]
                    assert api.push([({"test": stream}, pairs)]).status == 204
            if name == "packs":
                api.flush()
            if name == "blocks":
                until(lambda: list(server.data.glob("blocks/*.blocks")))
        if name == "log":
            server.kill()
        else:
            server.stop()
    return folder


def flipped(path, position, bit):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def positions_of(path, rng, count):
    """Return where to damage a file: its ends, and anywhere."""
    size = path.stat().st_size
    ends = [0, 9, size - 1, size - 9]
    return [*ends, *(rng.randrange(size) for _ in range(count - len(ends)))]


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bit_is_noticed_and_the_rest_is_served(
    folders, tmp_path, nightly, kind
):
    name, pattern = KINDS[kind]
    rng = random.Random(kind)
    whole = [p for p in sorted((folders[name] / "data").glob(pattern)) if p.is_file()]
    assert whole, f"nothing matches {pattern}"
    for number in range(FLIPS_NIGHTLY if nightly else FLIPS):
        path = rng.choice(whole)
        position = positions_of(path, rng, number + 5)[number]
        bit = rng.randrange(8)
        copy = tmp_path / f"copy{number}"
        shutil.copytree(folders[name], copy)
        flipped(copy / path.relative_to(folders[name]), position, bit)

        check_served(copy, SETTINGS[name], f"{path.name}, byte {position}, bit {bit}")

        shutil.rmtree(copy)


def check_served(folder, settings, what):
    """Start on the folder; what it serves is right, what is missing is told."""
    with Server(settings, directory=folder) as server:
        server.start()
        with Api(server.port) as api:
            missing = {stream: missing_of(api, stream, what) for stream in STREAMS}
            told = server.log_tail() + api.get("/metrics").text
    lost = sum(map(len, missing.values()))
    total = sum(map(len, WRITTEN.values()))
    if lost:
        assert "damage" in told or "corrupt" in told, what
    assert lost <= total / 2, f"{lost} of {total} lines are gone: {what}"


def missing_of(api, stream, what):
    """Return the lines that are missing.

    Fail where a line is wrong or twice, or some are missing without a word.
    """
    answer = api.query_range(
        f'{{test="{stream}"}}', start=NOW_NS, end=NOW_NS + 10**9, limit=1_000_000
    )
    assert answer.status in {200, 500, 503}, (what, answer)
    if answer.status != 200:
        return WRITTEN[stream]
    found = [
        (int(ns), line)
        for series in answer.data()["result"]
        for ns, line in series["values"]
    ]
    assert len(found) == len(set(found)), what
    assert set(found) <= set(WRITTEN[stream]), what
    return sorted(set(WRITTEN[stream]) - set(found))


def test_log_cut_anywhere_in_its_last_record_keeps_the_others(
    folders, tmp_path, nightly
):
    """A torn tail is what a crash leaves: the server starts and says nothing."""
    rng = random.Random(1)
    segment = max((folders["log"] / "data/wal").glob("*"), key=last_written)
    size = segment.stat().st_size
    last = last_record_bytes()
    for number in range(50 if nightly else 5):
        cut = rng.randrange(1, last)
        copy = tmp_path / f"cut{number}"
        shutil.copytree(folders["log"], copy)
        torn = copy / segment.relative_to(folders["log"])
        with torn.open("r+b") as file:
            file.truncate(size - cut)

        with Server(SETTINGS["log"], directory=copy) as server:
            server.start()
            with Api(server.port) as api:
                found = {s: api.lines(f'{{test="{s}"}}', **span()) for s in STREAMS}

        kept = {s: WRITTEN[s] for s in STREAMS}
        kept[STREAMS[-1]] = kept[STREAMS[-1]][:-LINES]
        assert found == kept, f"cut by {cut}"
        shutil.rmtree(copy)


def span():
    return {"start_ns": NOW_NS, "end_ns": NOW_NS + 10**9}


def last_written(path: Path):
    return (path.is_file(), path.stat().st_size)


def last_record_bytes():
    """Return a length that the last push's record surely has."""
    return sum(len(line) for _, line in WRITTEN[STREAMS[-1]][-LINES:])
