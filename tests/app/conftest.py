"""The command line, run in this process."""

import sys

import pytest

from loki_py.app import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function: arguments to exit status, output, errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["loki-py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run
