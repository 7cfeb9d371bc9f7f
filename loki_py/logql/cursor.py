"""One token of look-ahead over a query, and the errors of unwelcome tokens."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from loki_py.errors import QueryInvalid
from loki_py.logql.lexer import Lexer, error_at
from loki_py.logql.regexp_weight import WEIGHT_MAX, weight_of
from loki_py.logql.tokens import RANK, Kind, Token

DEPTH_MAX = 200
"""How deep parentheses, calls and chains of operators may nest in a query."""

TOKENS_MAX = 4_000
"""Tokens of one query: reading more would hold up everybody else's requests."""

EXPECTED_MAX = 4
"""An error message names the tokens that would do only up to this many."""

_BEFORE_REGEXPS = frozenset(
    {Kind.RE, Kind.NRE, Kind.PIPE_MATCH, Kind.REGEXP, Kind.OR, Kind.COMMA}
)
"""After these a text is, or may be, a regular expression."""


def too_deep() -> QueryInvalid:
    """Return the error for a query beyond DEPTH_MAX."""
    return QueryInvalid(f"parse error : query nests deeper than {DEPTH_MAX} levels")


class Cursor:
    """The tokens of a query, read once from left to right."""

    def __init__(self, text: str) -> None:
        self._lexer = Lexer(text)
        self._ahead: Token | None = None
        self._depth = 0
        self._tokens_count = 0
        self._regexps_weight = 0
        self._last: Kind | None = None

    def at(self, kind: Kind) -> bool:
        """Return whether the current token is of the kind."""
        return self.kind is kind

    @property
    def kind(self) -> Kind:
        """The kind of the next token."""
        return self.peek().kind

    def peek(self) -> Token:
        """Return the next token and leave it."""
        if self._ahead is None:
            self._tokens_count += 1
            if self._tokens_count > TOKENS_MAX:
                raise QueryInvalid(
                    f"parse error : query has more than {TOKENS_MAX} tokens"
                )
            token = self._lexer.next()
            if token.kind is Kind.STRING and self._last in _BEFORE_REGEXPS:
                self._weigh(str(token.value))
            self._last = token.kind
            self._ahead = token
        return self._ahead

    def _weigh(self, pattern: str) -> None:
        """Refuse regular expressions that would take long to compile."""
        self._regexps_weight += weight_of(pattern)
        if self._regexps_weight > WEIGHT_MAX:
            raise QueryInvalid(
                "parse error : error parsing regexp: expression too large: weight"
                f" {self._regexps_weight} > {WEIGHT_MAX}"
            )

    def take(self) -> Token:
        """Return the next token and move on."""
        token = self.peek()
        self._ahead = None
        return token

    def take_if(self, kind: Kind) -> bool:
        """Move past the next token if it is of this kind; return whether it was."""
        if self.kind is not kind:
            return False
        self._ahead = None
        return True

    def expect(self, *kinds: Kind) -> Token:
        """Return the next token, which must be of one of the kinds.

        Raises: QueryInvalid naming all kinds.
        """
        token = self.peek()
        if token.kind not in kinds:
            raise self.unexpected(kinds)
        if token.kind is Kind.IDENTIFIER and not str(token.value).isidentifier():
            # A stray character is read as a name, but a label cannot be called so.
            raise self.unexpected()
        return self.take()

    def expect_text(self, kind: Kind) -> str:
        """Return the text of the next token, which must be of this kind."""
        value = self.expect(kind).value
        assert isinstance(value, str)
        return value

    def unexpected(self, expected: Collection[Kind] = ()) -> QueryInvalid:
        """Return the error for the next token.

        Args:
            expected: all kinds that would do here; empty stands for "many".
        """
        token = self.peek()
        message = f"syntax error: unexpected {token.kind.value}"
        if 0 < len(expected) <= EXPECTED_MAX:
            names = (kind.value for kind in sorted(expected, key=RANK.__getitem__))
            message += f", expecting {' or '.join(names)}"
        return error_at(message, token.line, token.column)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Count one level of nesting while the block runs.

        Raises: QueryInvalid beyond DEPTH_MAX.
        """
        if self._depth >= DEPTH_MAX:
            raise too_deep()
        self._depth += 1
        yield
        self._depth -= 1
