"""Bad questions: 400 with Loki's text, and the server goes on.

Source of texts: Loki 65e30f8488, pkg/loghttp/params.go and pkg/logql/syntax, observed.
"""

import pytest
from harness import Api, Server

RANGE = "/loki/api/v1/query_range"
INSTANT = "/loki/api/v1/query"
DAY_S = 86_400
SETTINGS = {
    "limits_config.max_entries_limit_per_query": "5000",
    "limits_config.max_query_length": "721h",
}
LINES = '{app="a"}'
COUNT = 'count_over_time({app="a"}[1m])'
STEPS = "zero or negative query resolution step widths are not accepted. "
POINTS = "exceeded maximum resolution of 11,000 points per time series. "

BAD = {
    "end before start": (
        RANGE,
        {"query": LINES, "start": "1700000100", "end": "1700000000"},
        "end timestamp must not be before or equal to start time",
    ),
    "start is a word": (
        RANGE,
        {"query": LINES, "start": "abc"},
        (
            "could not parse 'start' parameter: "
            'strconv.ParseInt: parsing "abc": invalid syntax'
        ),
    ),
    "step zero": (RANGE, {"query": COUNT, "step": "0"}, STEPS),
    "step negative": (RANGE, {"query": COUNT, "step": "-1"}, STEPS),
    "step a word": (
        RANGE,
        {"query": COUNT, "step": "zz"},
        'cannot parse "zz" to a valid duration',
    ),
    "too many points": (
        RANGE,
        {"query": COUNT, "step": "0.001"},
        POINTS + "Try increasing the value of the step parameter",
    ),
    "limit a billion": (
        RANGE,
        {"query": LINES, "limit": "1000000000"},
        (
            "max entries limit per query exceeded, "
            "limit > max_entries_limit_per_query (1000000000 > 5000)"
        ),
    ),
    "limit zero": (
        RANGE,
        {"query": LINES, "limit": "0"},
        "limit must be a positive value",
    ),
    "limit negative": (
        RANGE,
        {"query": LINES, "limit": "-1"},
        "limit must be a positive value",
    ),
    "limit a word": (
        RANGE,
        {"query": LINES, "limit": "x"},
        'strconv.Atoi: parsing "x": invalid syntax',
    ),
    "limit beyond int64": (
        RANGE,
        {"query": LINES, "limit": "9" * 30},
        f'strconv.Atoi: parsing "{"9" * 30}": value out of range',
    ),
    "direction": (
        RANGE,
        {"query": LINES, "direction": "up"},
        "invalid direction 'up'",
    ),
    "no query": (
        RANGE,
        {},
        "parse error : syntax error: unexpected $end",
    ),
    "open brace": (
        RANGE,
        {"query": "{"},
        (
            "parse error at line 1, col 2: syntax error: "
            "unexpected $end, expecting IDENTIFIER or }"
        ),
    ),
    "matches everything": (
        RANGE,
        {"query": '{app=~".*"}'},
        "parse error : queries require at least one regexp or equality matcher",
    ),
    "bad regular expression": (
        RANGE,
        {"query": '{app=~"["}'},
        "parse error : error parsing regexp: missing closing ]: `[`",
    ),
    "very long": (
        RANGE,
        {"query": '{app="' + "x" * 20_000 + '"'},
        "parse error at line 1, col ",
    ),
    "deep parentheses": (RANGE, {"query": "(" * 5_000 + LINES}, "parse error"),
    "lines as an instant query": (
        INSTANT,
        {"query": LINES},
        (
            "log queries are not supported as an instant query type, "
            "please change your query to a range query type"
        ),
    ),
    "too long a time": (
        RANGE,
        {"query": LINES, "start": "1600000000", "end": str(1_600_000_000 + 50 * DAY_S)},
        "the query time range exceeds the limit (query length: ",
    ),
    "labels of a pipeline": (
        "/loki/api/v1/labels",
        {"query": '{app="a"} |= "x"'},
        "only label matchers are supported",
    ),
    "series of two groups": (
        "/loki/api/v1/series",
        {"match[]": ["{}", '{app="a"}']},
        "0 matchers in group: {}",
    ),
}


@pytest.fixture(scope="module")
def api():
    with Server(SETTINGS) as server:
        server.start()
        with Api(server.port) as api:
            yield api


@pytest.mark.parametrize(("path", "params", "text"), BAD.values(), ids=BAD)
def test_bad_question_is_answered_with_its_fault(api, path, params, text):
    answer = api.get(path, **params)

    assert answer.status == 400, answer
    assert text in answer.text
    assert not answer.text.endswith("\n")
    assert api.get("/ready").status == 200


def test_question_of_unlimited_size_is_refused(api):
    answer = api.request(
        "POST",
        RANGE,
        body=b"query=%7B" + b"a" * 140_000,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.status == 400
    assert answer.text.startswith("parse error : input size too long (")


def test_unknown_path_and_wrong_method_are_told_apart(api):
    assert api.get("/loki/api/v1/nothing").text == "404 page not found\n"
    assert api.get("/loki/api/v1/nothing").status == 404
    assert api.request("DELETE", RANGE).status == 405
    assert api.request("DELETE", RANGE).body == b""
