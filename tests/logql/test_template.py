"""Templates: what Go's text/template and Loki's functions make of an entry."""

from pathlib import Path

import pytest

from loki_py.logql.template.errors import TemplateError, TemplateInvalid
from loki_py.logql.template.execute import STEPS_MAX
from loki_py.logql.template.template import compile_template

TIMESTAMP_NS = 1_700_000_000_123_456_789
LABELS = {
    "a": "1",
    "b": "two words",
    "level": "error",
    "d": "1m30s",
    "j": '{"x":{"y":[1,2.5,"z"]},"n":null}',
}


def listed():
    text = (Path(__file__).parent / "templates.txt").read_text()
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    yield from zip(lines[::2], lines[1::2], strict=True)


def made(source):
    try:
        template = compile_template(source)
    except TemplateInvalid as error:
        return f"? {str(error).removeprefix('template: line:')}"
    try:
        return f"= {template.execute(LABELS, 'LINE', TIMESTAMP_NS)}"
    except TemplateError as error:
        return f"! {str(error).removeprefix('template: line:')}"


@pytest.mark.parametrize(("source", "expected"), list(listed()))
def test_template_makes_what_is_listed(source, expected):
    assert made(source).rstrip() == expected.rstrip()


def test_error_names_the_line_of_a_long_template():
    assert made("a\n{{.a}}\n  {{div 1 0}}").startswith(
        '! 3:4: executing "line" at <div 1 0>'
    )
    assert made("a\n{{end}}") == "? 2: unexpected {{end}}"


def test_error_names_the_kind_of_template():
    template = compile_template("{{div 1 0}}", name="label")

    with pytest.raises(TemplateError, match='template: label:1:2: executing "label"'):
        template.execute({}, "", 0)


def test_now_is_given_by_the_caller():
    template = compile_template("{{now | unixEpochNanos}}")

    assert template.execute({}, "", 5, now_ns=7) == "7"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{range 99999999}}{{end}}", f"loops run more than {STEPS_MAX} times"),
        ('{{repeat 9999999 "abc"}}', "text of 29999997 bytes is longer than 4194304"),
        (
            '{{range 50}}{{repeat 1000000 "x"}}{{end}}',
            "template: line: output is longer than 4194304",
        ),
        ('{{printf "%99999d" 1}}', "width 99999 is beyond 10000"),
        ('{{indent 9999999 "a"}}', "text of 9999999 bytes is longer than 4194304"),
        (
            '{{define "t"}}{{template "t"}}{{end}}{{template "t"}}',
            "exceeded maximum template depth (100)",
        ),
    ],
)
def test_greedy_template_is_stopped(source, message):
    template = compile_template(source)

    with pytest.raises(TemplateError) as caught:
        template.execute({}, "", 0)

    assert message in str(caught.value)


@pytest.mark.parametrize("piece", ["{{if .a}}", "{{range .a}}", "{{with .a}}"])
def test_deep_template_is_refused(piece):
    with pytest.raises(TemplateInvalid, match="nests deeper than 60 levels"):
        compile_template(piece * 10_000)
    with pytest.raises(TemplateInvalid, match="nests deeper than 60 levels"):
        compile_template("{{" + "(" * 10_000)


def test_deep_json_is_no_value():
    template = compile_template("{{fromJson .x}}")

    assert template.execute({"x": "[" * 99 + "]" * 99}, "", 0).startswith("[[[")
    assert template.execute({"x": "[" * 101 + "]" * 101}, "", 0) == "<no value>"
    assert template.execute({"x": "[" * 99_999}, "", 0) == "<no value>"
