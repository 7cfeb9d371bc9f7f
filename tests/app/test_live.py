"""The live view: what fits, in which colours, and that lines stay inert."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from loki_py.app.live import LiveScreen, level_of
from loki_py.app.moments import UTC
from loki_py.app.printing import Look, Row
from loki_py.client.answers import DroppedEntry

T = 1_767_225_600_123_000_000
LOOK = Look(zone=UTC)
DROPPED = DroppedEntry(str(T), {"app": "a"})


def row(line, *, level="info", at=0):
    return Row(T + at, (("app", "web"), ("detected_level", level)), line)


def screen_of(width, height, *, color_system=None):
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=color_system,
    )
    return LiveScreen('{app="web"}', LOOK, console), console


def shown(screen, console):
    console.file.truncate(0)
    console.file.seek(0)
    console.print(screen.view())
    return console.file.getvalue().splitlines()


def test_newest_entries_stand_between_counts_and_help():
    screen, console = screen_of(120, 4)
    screen.show([row(f"line {i}") for i in range(9)] + [row("bad", level="error")])

    assert shown(screen, console) == [
        '10 entries  error 1  info 9  {app="web"}',
        '00:00:00.123 info     {app="web"} line 8',
        '00:00:00.123 error    {app="web"} bad',
        "Ctrl-C ends it",
    ]


@pytest.mark.parametrize("width", [10, 30, 48, 60, 100, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 10])
def test_every_size_is_filled_and_never_exceeded(width, height):
    screen, console = screen_of(width, height)
    screen.show([row("日本語 wide 漢字 " * 30, level="warn")] * 20)

    lines = shown(screen, console)

    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)


def test_control_characters_are_pictures():
    screen, console = screen_of(120, 3)
    screen.show([row("\x1b[2J\x1b]0;title\x07 a\r\nb\tc\x9b31m \u202e")])

    line = shown(screen, console)[1]

    assert line.endswith("␛[2J␛]0;title␇ a␍␊b    c\\x9b31m \\u202e")


def test_rich_markup_in_lines_is_text():
    screen, console = screen_of(120, 3)
    screen.show([row("[red]x[/red] :smile:")])

    assert shown(screen, console)[1].endswith("[red]x[/red] :smile:")


def test_levels_have_colours():
    screen, console = screen_of(120, 3, color_system="standard")
    screen.show([row("x", level="warn")])

    assert "\x1b[33mx" in shown(screen, console)[1]


def test_what_happens_to_the_tail_is_told_until_entries_come():
    screen, console = screen_of(120, 3)
    screen.note("lost; connecting again")
    screen.drop([DROPPED, DROPPED])
    assert shown(screen, console)[-1] == "lost; connecting again"
    assert "2 dropped" in shown(screen, console)[0]

    screen.show([row("x")])
    assert shown(screen, console)[-1] == "Ctrl-C ends it"


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        ((("detected_level", "error"), ("level", "info")), "error"),
        ((("level", "WARNING"),), "warn"),
        ((("level", "\x1b[31m"),), "unknown"),
        ((), "unknown"),
    ],
)
def test_level_is_the_detected_one(labels, level):
    assert level_of(labels) == level


def test_live_view_needs_a_terminal(run):
    status, _, err = run("tail", "x", "--live")

    assert status == 2
    assert "--live needs a terminal" in err
