"""Commands about what there is: parameters, and output as logcli's."""

import io

import pytest
from test_client_commands import data

from loki_py.app.ask_index import print_size

INDEX = "/loki/api/v1/index"
FIELDS = "/loki/api/v1/detected_fields"


def test_stats_are_four_figures(server, run):
    server.answers[f"{INDEX}/stats"] = {
        "streams": 1,
        "chunks": 2,
        "bytes": 7_900,
        "entries": 50,
    }

    status, out, _ = run("stats", '{app="a"}', "-q")

    assert status == 0
    assert out == "{\n  bytes: 7.9kB\n  chunks: 2\n  streams: 1\n  entries: 50\n}\n"
    assert server.asked[0][1]["query"] == '{app="a"}'


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0B"), (9, "9B"), (999, "999B"), (1_500, "1.5kB"), (82_854_982, "83MB")],
)
def test_sizes_are_those_of_loki(size_bytes, text):
    assert print_size(size_bytes) == text


def test_volumes_are_indented_json(server, run):
    server.answers[f"{INDEX}/volume"] = data("vector", [])

    _, out, _ = run("volume", "{}", "--targetLabels", "a", "--targetLabels=b", "-q")

    assert out == "[]\n"
    asked = server.asked[0][1]
    assert (asked["targetLabels"], asked["limit"]) == ("a,b", "30")
    assert "step" not in asked


def test_volumes_of_spans_have_a_step(server, run):
    server.answers[f"{INDEX}/volume_range"] = data("matrix", [])

    run("volume_range", "{}", "--step=1m", "--aggregateByLabels", "-q")

    asked = server.asked[0][1]
    assert (asked["step"], asked["aggregateBy"]) == ("1m", "labels")


def test_fields_are_sorted_with_their_types(server, run):
    server.answers[FIELDS] = {
        "fields": [
            {"label": "b", "type": "int", "cardinality": 2, "parsers": ["json"]},
            {"label": "a", "type": "string", "cardinality": 1, "parsers": None},
        ]
    }

    _, out, _ = run("detected-fields", "{}", "--line-limit", "5", "-q")

    assert out == (
        "label: a\t\ttype: string\t\tcardinality: 1\n"
        "label: b\t\ttype: int\t\tcardinality: 2\n"
    )
    assert server.asked[0][1]["line_limit"] == "5"


def test_values_of_one_field_are_one_a_line(server, run):
    server.answers["/loki/api/v1/detected_field/a/values"] = {"values": ["x", "y"]}

    assert run("detected-fields", "{}", "a", "-q")[1] == "x\ny\n"


def test_query_is_formatted_without_a_server(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(' {app = "a"}|="x" \n'))

    assert run("fmt")[1] == '{app="a"} |= "x"\n'
    assert run("fmt", 'sum(rate({a="b"}[1m]))')[1] == 'sum(rate({a="b"}[1m]))\n'
    assert run("fmt", "{")[0] == 1
