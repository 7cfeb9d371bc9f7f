"""Damaged files: noticed, the rest is served, and nothing wrong is returned."""

import random
import re
import shutil
import time
from pathlib import Path

import pytest
from harness import Api, Server, until

FLIPS = 6
FLIPS_NIGHTLY = 100
STREAMS = ("a", "b", "c")
PUSHES = 12
DAMAGE = re.compile("damage|set aside|quarantined=[1-9]")
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


def lines_of(stream, push):
    """Return what one push holds; lines that do not compress well."""
    rng = random.Random(f"{stream}{push}")
    return [
        (NOW_NS + k, f"{stream} {k} {rng.getrandbits(2048):x}")
        for k in range(push * LINES, (push + 1) * LINES)
    ]


WRITTEN = {
    (stream, push): lines_of(stream, push)
    for push in range(PUSHES)
    for stream in STREAMS
}


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
                for stream in STREAMS:
                    pairs = WRITTEN[stream, number]
                    assert api.push([({"test": stream}, pairs)]).status == 204
                if name == "packs" and number in {PUSHES // 2, PUSHES - 1}:
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
            answers = {key: answer_of(api, *key) for key in WRITTEN}
            told = server.log_tail()
    lost = 0
    for key, answer in answers.items():
        if answer.status == 200:
            found = pairs_of(answer)
            assert len(found) == len(set(found)), what
            assert set(found) <= set(WRITTEN[key]), what
            missing = len(WRITTEN[key]) - len(found)
            assert not missing or DAMAGE.search(told), f"{what}: {missing} lines"
        else:
            assert answer.status == 500, (what, answer)
            assert DAMAGE.search(answer.text), (what, answer)
            missing = len(WRITTEN[key])
        lost += missing
    total = sum(map(len, WRITTEN.values()))
    assert lost <= 0.6 * total, f"{lost} of {total} lines are gone: {what}"


def answer_of(api, stream, push):
    """Ask for the lines of one push."""
    start_ns = NOW_NS + push * LINES
    return api.query_range(
        f'{{test="{stream}"}}', start=start_ns, end=start_ns + LINES, limit=10_000
    )


def pairs_of(answer):
    return [
        (int(ns), line)
        for series in answer.data()["result"]
        for ns, line in series["values"]
    ]


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
                found = {key: sorted(pairs_of(answer_of(api, *key))) for key in WRITTEN}

        assert found == {**WRITTEN, (STREAMS[-1], PUSHES - 1): []}, f"cut by {cut}"
        shutil.rmtree(copy)


def last_written(path: Path):
    return (path.is_file(), path.stat().st_size)


def last_record_bytes():
    """Return a length that the last push's record surely has."""
    return sum(len(line) for _, line in WRITTEN[STREAMS[-1], PUSHES - 1])
