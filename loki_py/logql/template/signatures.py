"""What a template function takes, and how arguments that do not fit fail."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from loki_py.logql.template.gotime import GoTime
from loki_py.logql.template.values import Value, type_name

KIND_NAMES = {
    "s": "string",
    "i": "int",
    "f": "float64",
    "t": "time.Time",
    "a": "interface {}",
}
_KIND_TYPES: dict[str, type | tuple[type, ...]] = {
    "s": str,
    "i": int,
    "f": float,
    "t": GoTime,
}


@dataclass(frozen=True)
class Signature:
    """A function of templates.

    Attributes:
        kinds: one letter a parameter (KIND_NAMES); what follows `*` may come
            any number of times, also never.
        call: takes values of these kinds; raises CallFailed.
    """

    kinds: str
    call: Callable[..., Value]

    @cached_property
    def fixed(self) -> str:
        """The kinds of the parameters that must be there."""
        return self.kinds.partition("*")[0]

    @cached_property
    def more(self) -> str:
        """The kind of all further arguments, "" where there may be none."""
        return self.kinds.partition("*")[2]

    def kind_of(self, position: int) -> str:
        """Return the kind of the argument at a position."""
        fixed = self.fixed
        return fixed[position] if position < len(fixed) else self.more

    def count_fault(self, name: str, count: int) -> str | None:
        """Return what is wrong with the number of arguments, if anything."""
        wanted = len(self.fixed)
        if count == wanted or (count > wanted and self.more):
            return None
        least = "at least " if self.more else ""
        return f"wrong number of args for {name}: want {least}{wanted} got {count}"


def kind_fault(kind: str, value: Value) -> str | None:
    """Return why the value does not do as an argument of this kind, if so."""
    if kind == "a":
        return None
    if value is None:
        return f"invalid value; expected {KIND_NAMES[kind]}"
    if isinstance(value, _KIND_TYPES[kind]) and (kind == "i") <= (
        not isinstance(value, bool)
    ):
        return None
    return f"wrong type for value; expected {KIND_NAMES[kind]}; got {type_name(value)}"
