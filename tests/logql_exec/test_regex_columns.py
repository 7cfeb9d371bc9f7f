"""Regular expressions on columns mean what RE2 says they mean."""

# ruff: noqa: RUF001 - look-alike letters are the point

import functools
import time

import polars as pl
import pytest
import re2

from loki_py.logql.regexps import RegexpInvalid, compile_regexp
from loki_py.logql.stages.regex import Regex, anchored, rust_pattern

TEXTS = [
    "", "a", "A", "ab", "abc", "a\nb", "\n", "a b", "  ", "\t", "1", "0123456789",
    "status=500", "error", "ERROR", "Error in X", "é", "É", "K", "k", "ſ", "s", "S",
    "日本語", "٣", "a_b", "a-b", "a.b", "x{2}", "[x]", "]", "^", "$", "\\", "a\\b",
    "\x0b", "\r\n", "foo\x00bar", "aaaa", "::1", "10.0.0.1", '"quoted"', "&&", "~~",
    "--", "a&&b", "\u2028", "\u0085", "\u00a0", "_", "Ω", "ω", "ß", "ẞ", "İ", "ı", "i",
    "aB", "AB", "A\nB", "a\nB\n", "\n\n", "a\n", "\na", "xx", "abab", "aa",
    "a-c", "a^", "|",
    "日本", "ÀÉ", "à", "Σς", "\ufeff", "\u200b", "🙂",
    "a🙂b", "10", "er", "\x7f", "\u017f",
]  # fmt: skip
PATTERNS = [
    "", "a", "a|b", "a|", "^$", "^a", "a$", r"\Aa\z", ".", ".+", "(?s).", "(?s)a.b",
    "(?m)^b", "(?m)a$", "(?i)error", "(?i)k", "(?i)s", "(?i)é", "(?i)ß", "(?i)Ω",
    "(?i)i", r"\d", r"\D", r"\w+", r"\W", r"\s", r"\S", r"\bb\b", r"\B", r"[\d]",
    r"[\w-]", r"[^\s]", r"[^\d\w]", "[[:alpha:]]", "[[:^alpha:]]", "[[:space:]]",
    "[a-c]", "[^a-c]", "[]]", "[^]]", r"[\]]", r"[\[]", "[[]", "[a[b]", "[&&]",
    "[a&&b]", "[~~]", "[--]", "[a-]", "[-a]", "[+--]", r"\.", r"\-", r"\/", r"\"",
    r"\=", r"\&", r"\~", r"\_", r"\ ", r"\<", r"\>", r"\x41", r"\x{1F600}", r"\pL",
    r"\p{Greek}", r"\PN", r"\Qa.b\E", r"\C", "x{2}", "a{2}", "a{2,}", "a{1,3}",
    "a{,3}", "{", "}", "a{", "(?P<n>a)b", "(?:ab)+", "(?i:A)B", "(?-s)a.b", "(?U)a+",
    "a+?", "a*?", "(a|ab)(c|bcd)", "((a)|(b))*", r"\n", r"\t", r"\r\n", r"\v", r"\f",
    r"\a", r"\0", r"\07", r"[\x00-\x20]", "日", "[日本]", "é|É", r"5\d\d", "#", "a#b",
    "(?i)[k]", "(?i)[^k]", r"(?i)\w", "[α-ω]", "(?i)[α-ω]", r"\b", "(a*)*", "(|a)+",
    "a**", "^*", "(?i)ı", r"[[:word:]]", r"\z", "(?x) a", r"[\b]", r"a\Z", "(?<n>a)",
]  # fmt: skip
QUIET = re2.Options()
QUIET.log_errors = False


@functools.cache
def compiled(pattern):
    try:
        return re2.compile(pattern, QUIET)
    except re2.error:
        return None


VALID = [pattern for pattern in PATTERNS if compiled(pattern) is not None]


@pytest.mark.parametrize("pattern", VALID)
def test_column_search_agrees_with_re2(pattern):
    """Each text matches on the column if and only if RE2 finds the pattern in it."""
    want = [compiled(pattern).search(text) is not None for text in TEXTS]

    got = Regex(pattern).found_in(pl.Series(TEXTS))

    assert dict(zip(TEXTS, got.tolist(), strict=True)) == dict(
        zip(TEXTS, want, strict=True)
    )


@pytest.mark.parametrize("pattern", VALID)
def test_anchored_column_search_agrees_with_re2(pattern):
    """A label matcher's pattern covers the whole value, line breaks included."""
    whole = compiled(f"(?s)^(?:{pattern})$")
    want = [whole.search(text) is not None for text in TEXTS]

    got = anchored(pattern).found_in(pl.Series(TEXTS))

    assert got.tolist() == want


@pytest.mark.parametrize("names", [["whole"], ["whole", "rest"], []])
@pytest.mark.parametrize("pattern", VALID)
def test_named_groups_agree_with_re2(pattern, names):
    """What capture groups hold is what RE2 puts there, one of them or several."""
    grouped = f"(?P<whole>{pattern})(?P<rest>.*)"
    groups = compiled(grouped).groupindex
    columns = Regex(grouped).groups_of(pl.Series(TEXTS), {n: groups[n] for n in names})
    if columns is None:
        return

    matches = [compiled(grouped).search(text) for text in TEXTS]

    for name in names:
        want = [match and match.group(name) for match in matches]
        assert columns[name].to_list() == want


@pytest.mark.parametrize(
    "pattern", [r"\pL", r"\Qa\E", r"\C", "[a&&b]", "[a--b]", "[~~]", "(?U)a", r"\x41"]
)
def test_pattern_whose_syntax_differs_runs_in_re2(pattern):
    """What the two engines may read differently is left to RE2."""
    assert rust_pattern(pattern) is None


def test_plain_pattern_runs_on_columns():
    """The everyday patterns take the fast engine."""
    assert rust_pattern(r"level=(error|warn).*status=5\d\d") is not None


def test_null_never_matches():
    """A missing value matches nothing, not even the empty pattern."""
    assert Regex("").found_in(pl.Series([None], dtype=pl.String)).tolist() == [False]
    assert Regex(r"\pL*").found_in(pl.Series([None], dtype=pl.String)).tolist() == [
        False
    ]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a{1001}", "invalid repeat count"),
        ("(a{1000}){1000}", "invalid repeat count"),
        (r"\pL{1000}", "expression too large"),
        (r"(\pL\PN){500}", "expression too large"),
    ],
)
def test_pattern_that_would_compile_large_is_refused(pattern, why):
    """A few characters cannot ask for much memory."""
    with pytest.raises(RegexpInvalid, match=why):
        compile_regexp(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "(.*)(.*)(.*)x", "(a+)+$"])
def test_pattern_that_backtracks_elsewhere_takes_linear_time(pattern):
    """A hostile pattern over a long line costs what the line costs."""
    lines = pl.Series(["a" * 100_000 + "c"])
    began_ns = time.process_time_ns()

    Regex(pattern).found_in(lines)

    assert time.process_time_ns() - began_ns < 500_000_000
