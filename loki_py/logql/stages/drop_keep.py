"""`| drop`, `| keep` and `| decolorize`."""

import numpy as np

from loki_py.logql import ast
from loki_py.logql.exec.frame import ERROR, ERROR_DETAILS, Frame, Mask
from loki_py.logql.stages.label_filter import value_test
from loki_py.logql.stages.stage import Apply, Wants

# ECMA-48 (ISO 6429) by its own terms, in the order in which they are tried.
_CONTROL_SEQUENCE = r"(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]"  # parameters, final byte
_SYSTEM_COMMAND = r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # window titles, links
_CONTROL_STRING = r"\x1b[PX^_][^\x1b]*\x1b\\"  # for devices and programs
_PLAIN_ESCAPE = r"\x1b[ -/]*[0-~]"  # character sets, cursor kept and restored
_ESCAPES = f"{_CONTROL_SEQUENCE}|{_SYSTEM_COMMAND}|{_CONTROL_STRING}|{_PLAIN_ESCAPE}"


def drop(stage: ast.Drop, wants: Wants) -> Apply:  # noqa: ARG001
    """Remove labels, by name, or by name where the value matches."""
    targets = [(target.name, _matching(target)) for target in stage.targets]

    def apply(frame: Frame) -> None:
        for name, matching in targets:
            where = matching(frame)
            if name == ERROR:
                frame.clear_error(where)
            elif name == ERROR_DETAILS:
                frame.clear_error_details(where)
            else:
                frame.remove(name, where)

    return apply


def keep(stage: ast.Keep, wants: Wants) -> Apply:  # noqa: ARG001
    """Remove all other labels but errors."""
    targets = [(target.name, _matching(target)) for target in stage.targets]

    def apply(frame: Frame) -> None:
        kept: dict[str, Mask] = {}
        for name, matching in targets:
            where = matching(frame)
            kept[name] = kept[name] | where if name in kept else where
        for name in frame.names():
            frame.remove(name, ~kept[name] if name in kept else None)

    return apply


def _matching(target: ast.LabelTarget):  # type: ignore[no-untyped-def] # noqa: ANN202
    """Return the function from a frame to the rows whose label is meant."""
    if target.matcher is None:
        return lambda frame: np.ones(len(frame), dtype=np.bool_)
    test = value_test(target.matcher)
    return lambda frame: test(frame.value(target.name), len(frame))


def reads(stage: ast.Drop | ast.Keep) -> frozenset[str]:
    """Return the labels whose values decide."""
    return frozenset(target.name for target in stage.targets if target.matcher)


def kept_names(stage: ast.Keep) -> frozenset[str]:
    """Return the only labels that a line may have behind the stage."""
    return frozenset({target.name for target in stage.targets}) | {ERROR, ERROR_DETAILS}


def decolorize(stage: ast.Decolorize, wants: Wants) -> Apply:  # noqa: ARG001
    """Strip the escape sequences of terminals from the lines."""

    def apply(frame: Frame) -> None:
        frame.line = frame.lines.str.replace_all(_ESCAPES, "")

    return apply
