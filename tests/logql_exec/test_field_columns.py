"""Fields read by column are what reading the lines one by one finds."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.logql.stages.json_columns import FieldDecoder
from loki_py.logql.stages.json_members import first_fields
from loki_py.logql.stages.json_scan import JsonInvalid, flatten, sanitized
from loki_py.logql.stages.key_search import KeySearch
from loki_py.logql.stages.key_values import LineBuffer, values_of_key
from loki_py.logql.stages.line_views import LineViews
from loki_py.logql.stages.logfmt_scan import pairs

NAMES = ("a", "b", "a_b", "level")
KEYS = st.sampled_from(
    ["a", "b", "a_b", "a.b", "a-b", " a", "a ", "level", "Level", "xa", "", "3a", "é"]
)
PIECES = st.sampled_from(
    [
        "a=1", "a=", "a", "b=2", "level=info", 'level="in fo"', 'a="x level=y"', "a==1",
        'a="b\\"c"', 'a="', '"', "a_b=7", "a.b=8", "=", "\t", "  ", 'b="a=1"', 'a=1"2',
        'a=1"', "xa=1", 'a="1"b=2', "é=1", "a=é", "a=\ufffd", "b='x'", "\n", "a=1=2",
        'a="b\\nc"', 'level="\\u0041"',
    ]
)  # fmt: skip
SCALARS = st.sampled_from(
    ['"x"', '""', '"a\\"b"', '"\\u0041"', "1", "-1.5e3", "true", "false", "null", '"a"',
     '"level"', '{"b":1}', '{"a":{"b":2}}', "[1]", '["a",{"level":1}]', "{}", "tru"]
)  # fmt: skip
MEMBERS = st.lists(st.tuples(KEYS, SCALARS), max_size=5)
JOINS = st.sampled_from([",", ", ", " ,", ",,", "", "\n,"])
TAILS = st.sampled_from(["}", "", "} x", "}}", " }", "\n}"])


@st.composite
def json_lines(draw):
    colon = draw(st.sampled_from([":", ": ", " :"]))
    members = [f'"{key}"{colon}{value}' for key, value in draw(MEMBERS)]
    head = draw(st.sampled_from(["{", " {", "{ ", "", "[", "x{"]))
    return head + draw(JOINS).join(members) + draw(TAILS)


def scanned_json(line):
    """Return (labels, whether the line is sound), and what came before an error."""
    found = {}

    def put(name, value):
        found.setdefault(name, value)
        return False

    try:
        flatten(line, put)
    except JsonInvalid:
        return found, False
    return found, True


def scanned_logfmt(line):
    found = {}
    for key, value in pairs(line, strict=False):
        name = sanitized(key)
        if name and value:
            found.setdefault(name, value.replace("\ufffd", ""))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(json_lines(), min_size=1, max_size=6), st.sampled_from(NAMES))
def test_first_json_fields_are_right_where_sure(lines, name):
    """A value that the flat reader vouches for is the one the scanner meets first."""
    values, sure = first_fields(pl.Series(lines), name)

    for line, value, vouched in zip(lines, values.to_list(), sure, strict=True):
        if vouched:
            assert scanned_json(line)[0].get(name) == value, line


@settings(max_examples=60, deadline=None)
@given(st.lists(json_lines(), min_size=1, max_size=6))
def test_decoded_json_fields_are_right_where_sure(lines):
    """A row that the decoder vouches for is sound JSON and has these fields."""
    decoder = FieldDecoder(NAMES)
    columns, sure = decoder.fields(pl.Series(lines))

    for row in sure.nonzero()[0].tolist():
        found, sound = scanned_json(lines[row])
        assert sound, lines[row]
        for name in NAMES:
            assert found.get(name) == columns[name][row], (lines[row], name)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(PIECES, max_size=6).map(" ".join)
        | st.lists(PIECES, max_size=4).map("".join),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(NAMES),
)
def test_logfmt_columns_are_right_where_sure(lines, name):
    """A value that the column reader vouches for is the one the scanner finds."""
    values, sure = values_of_key(LineBuffer.of(pl.Series(lines, dtype=pl.String)), name)

    for line, value, vouched in zip(lines, values.to_list(), sure, strict=True):
        if vouched:
            assert scanned_logfmt(line).get(name) == value, line


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(PIECES, max_size=6).map(" ".join)
        | st.lists(PIECES, max_size=4).map("".join),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([name for name in NAMES if "_" not in name]),
    st.sampled_from(["{} {}", "{1} {0}"]),
)
def test_searched_logfmt_keys_are_right_where_sure(lines, name, form):
    """The same of the reader that searches lines where they lie, to their end."""
    padding = "padding=to-lie-in-the-buffer-and-long-enough"
    long = [form.format(line, padding) for line in lines]
    views = LineViews.of(pl.Series(long, dtype=pl.String))
    assert views is not None
    values, sure = KeySearch(views, name).values()

    for line, value, vouched in zip(long, values.to_list(), sure, strict=True):
        if vouched:
            assert scanned_logfmt(line).get(name) == value, line


def test_keys_are_found_wherever_their_lines_lie():
    """What ends as the key does, or stands in quotes, is another's."""
    texts = [
        "status=200",
        "took=1ms status=404 httpstatus=1",
        "httpstatus=1 status=500",
        'status="in quotes"',
        'msg="status=1" status=503',
        "nothing to see, status",
        "status=a-value-longer-than-sixteen-bytes end",
        "last=1 status=",
    ]
    lines = pl.Series(texts)
    expected = [scanned_logfmt(text).get("status") for text in texts]

    for views in (LineViews.of(lines), LineViews.copied(lines)):
        values, sure = KeySearch(views, "status").values()
        found = values.to_list()
        assert [v for v, s in zip(found, sure, strict=True) if s] == [
            v for v, s in zip(expected, sure, strict=True) if s
        ]
        assert sure[:7].all()


def test_last_key_of_all_lines_is_found_behind_a_quote():
    """No bytes behind the lines are needed to see what the last ones are."""
    lines = pl.Series(["level=info took=1ms msg=first", 'took=+3s n="nan" id=1'])
    views = LineViews.of(lines)
    assert views is not None

    values, sure = KeySearch(views, "id").values()

    assert values.to_list() == [None, "1"]
    assert sure.all()


def test_plain_lines_are_read_by_column():
    """Everyday lines need no second reading."""
    flat = pl.Series(['{"level":"info","status":200}', '{"status": 500, "x": null}'])
    pairs_ = pl.Series(["level=info status=200", "status=500 msg=x"])

    assert first_fields(flat, "status")[1].all()
    assert FieldDecoder(["status"]).fields(flat)[1].all()
    assert values_of_key(LineBuffer.of(pairs_), "status")[1].all()
