"""Real log files through `loki-py push`: counted like `wc` and `grep` count them."""

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import Api, Server

PROGRAM = Path(sys.executable).with_name("loki-py")
LOGHUB = os.environ.get("LOKI_PY_LOGHUB", "")
LINES_MAX = 100_000

# Fixed strings and regular expressions that mean the same to grep -E and to RE2;
# some are in every file, some in none.
FIXED = ("error", " 1", "10.", "] ", 'a"b\\c')
REGEXPS = (
    "[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}",
    "^[A-Z0-9]",
    "([Ff]ail|[Ee]rror|WARN)",
    "[a-z]+: .*[0-9]$",
    "^.{60,120}$",
)


def made_files(folder):
    """Return small files of several programs' styles, made up here."""
    rng = random.Random(1)
    makers = {
        "access": lambda k: (
            f'10.0.{k % 250}.{rng.randrange(250)} - - "GET /p/{rng.randrange(999)}'
            f'?q="x" HTTP/1.1" {rng.choice((200, 404, 500))} {rng.randrange(9999)}'
        ),
        "syslog": lambda k: (
            f"Nov {k % 28 + 1:2} 10:{k % 60:02}:00 host sshd[{rng.randrange(9999)}]: "
            f"{rng.choice(('Failed password', 'error: closed', 'Accepted'))} {k % 7}"
        ),
        "json": lambda k: json.dumps({"level": "error", "n": k, "text": 'a"b\\c <&>'}),
        "unicode": lambda k: f"{k} grüße, 世界 😀 \u2028 — error{k % 3}",
        "blank": lambda k: "" if k % 3 else f"  {k}\t",
        "carriage": lambda k: f"line {k} WARN\r",
        "same": lambda k: "the same line, again and again" if k % 2 else "error",
    }
    for name, make in makers.items():
        text = "".join(f"{make(k)}\n" for k in range(1000))
        (folder / f"{name}.log").write_bytes(text.encode())
    (folder / "open_end.log").write_bytes(b"one\ntwo\nthree, without an end")
    (folder / "long.log").write_bytes(b"x" * 200_000 + b" error 1\nshort\n")
    return sorted(folder.glob("*.log"))


@pytest.fixture(params=["made", "loghub"])
def files(request, tmp_path):
    if request.param == "made":
        return made_files(tmp_path)
    if not LOGHUB:
        pytest.skip("LOKI_PY_LOGHUB does not name a folder of log files")
    return sorted(Path(LOGHUB).glob("*.log"))


def grep_count(flags, needle, path):
    """Return how many lines of the file match, as grep counts."""
    grep = subprocess.run(
        ["grep", "-a", "-c", flags, "-e", needle, str(path)],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
    )
    return int(grep.stdout)


def expected_counts(path):
    """Return by LogQL filter how many lines it keeps.

    A last line without an end is a line; `wc -l` counts it from its end only.
    """
    counts = {"": grep_count("-E", "", path)}
    own = random.Random(path.name).sample(words_of(path), 2)
    for needle in (*FIXED, *own):
        counts[f"|= {json.dumps(needle)}"] = grep_count("-F", needle, path)
    for regexp in (*REGEXPS, own_regexp(path)):
        counts[f"|~ {json.dumps(regexp)}"] = grep_count("-E", regexp, path)
    return counts


def words_of(path):
    words = set(re.findall(r"[A-Za-z0-9_.:/-]{3,40}", path.read_text()))
    return sorted(words) * 2


def own_regexp(path):
    """Return a regular expression made from a word of the file."""
    word = random.Random(path.name).choice(words_of(path))
    return f"{word[:2].replace('.', '[.]')}[^ ]*"


def push(server, path):
    """Push one file as one stream with the command line."""
    done = subprocess.run(
        [str(PROGRAM), "push", "--label", f"file={path.stem}", str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "LOKI_ADDR": server.url},
    )
    assert done.returncode == 0, done.stderr


def lines_as_pushed(path):
    text = path.read_bytes().decode()
    return text.removesuffix("\n").split("\n")


def test_lines_and_filters_count_as_wc_and_grep_do(files):
    expected = {path: expected_counts(path) for path in files}
    start_ns = time.time_ns() - 10**9
    with Server() as server:
        server.start()
        for path in files:
            push(server, path)
        check(server, expected, start_ns, "in memory")

        with Api(server.port) as api:
            api.flush()
        check(server, expected, start_ns, "flushed")

        server.restart()
        check(server, expected, start_ns, "restarted")

        server.kill()
        server.start()
        check(server, expected, start_ns, "killed")


def test_lines_survive_kill_before_any_flush(files):
    expected = {path: expected_counts(path) for path in files}
    start_ns = time.time_ns() - 10**9
    with Server() as server:
        server.start()
        for path in files:
            push(server, path)

        server.kill()
        server.start()

        check(server, expected, start_ns, "killed before the flush")


def check(server, expected, start_ns, state):
    with Api(server.port) as api:
        for path, counts in expected.items():
            select = f'{{file="{path.stem}"}}'
            found = api.lines(select, start_ns=start_ns, end_ns=end_ns(), limit=10**5)
            lines = [line for _, line in found]
            assert lines == lines_as_pushed(path), (state, path.name)
            for filters, count in counts.items():
                query = f"sum(count_over_time({select} {filters} [1h]))"
                total = api.total(query)
                assert total == count, (state, path.name, filters)


def end_ns():
    return time.time_ns() + 10**9
