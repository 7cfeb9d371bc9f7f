"""Whether two answers are the same."""

import math

import pytest


def alike(ours, theirs):
    """Return whether two answers are equal, numbers but for their last bits."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(
            alike(ours[key], theirs[key]) for key in ours
        )
    if isinstance(ours, float) and isinstance(theirs, float):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    return ours == theirs


def without_details(found):
    """Return a log answer without the words of errors, tested on their own."""
    if not isinstance(found, dict) or not all(
        isinstance(v, list) for v in found.values()
    ):
        return found
    bare = {}
    for labels, lines in found.items():
        name = tuple(pair for pair in labels if pair[0] != "__error_details__")
        bare.setdefault(name, []).extend(lines)
    return found if list(bare) == list(found) else sorted_answer(bare)


def sorted_answer(found):
    return {labels: sorted(lines) for labels, lines in sorted(found.items())}
