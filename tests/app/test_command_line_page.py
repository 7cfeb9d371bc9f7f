"""docs/command-line.md names every command, and only options that there are."""

import re
from pathlib import Path

import typer

from loki_py.app.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()


def commands():
    return typer.main.get_command(app).commands


def test_every_command_has_a_row():
    named = {
        name
        for row in re.findall(r"^\| (`\w.+?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([a-z_-]+)`", row)
    }

    assert named == set(commands())


def test_every_option_says_what_it_does():
    silent = {
        f"{command.name} {parameter.opts[0]}"
        for group in (commands(), commands()["inspect"].commands)
        for command in group.values()
        for parameter in command.params
        if not (parameter.help or getattr(parameter, "hidden", False))
    }

    assert silent == set()


def test_every_option_that_is_named_is_taken():
    known = {
        name
        for command in commands().values()
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }

    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= known
