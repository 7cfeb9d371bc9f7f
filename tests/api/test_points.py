"""Points of a matrix: the JSON that each would have alone, whatever they share."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.api.encode import encode_result
from loki_py.api.numbers import seconds_of, text_of
from loki_py.api.points import points_of
from loki_py.model.results import Matrix

S = 1_000_000_000


def matrix_of(values, present, start_ns, step_ns):
    labels = [(("row", str(row)),) for row in range(len(values))]
    times = start_ns + step_ns * np.arange(values.shape[1])
    return Matrix(labels, times, values, present)


def by_the_book(matrix):
    """Return the points of each series, one by one."""
    seconds = seconds_of(matrix.timestamp_ns)
    return [
        ",".join(
            f"[{json.dumps(seconds[at])},{json.dumps(text_of(float(row[at])))}]"
            for at in np.flatnonzero(there).tolist()
        )
        for row, there in zip(matrix.values, matrix.present, strict=True)
    ]


NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e21, 1e-9, np.nan, np.inf, -np.inf]),
    st.floats(),
)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_points_are_as_by_the_book(data):
    """Any numbers, points that are absent, whole seconds and milliseconds."""
    series, points = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 5))
    cells = st.lists(NUMBERS, min_size=series * points, max_size=series * points)
    there = st.lists(st.booleans(), min_size=series * points, max_size=series * points)
    step_ns = data.draw(st.sampled_from([S, 60 * S, S // 8, 1_000_000]))
    matrix = matrix_of(
        np.array(data.draw(cells), np.float64).reshape(series, points),
        np.array(data.draw(there), np.bool_).reshape(series, points),
        1_767_225_600 * S,
        step_ns,
    )

    assert [bytes(each).decode() for each in points_of(matrix)] == by_the_book(matrix)


@pytest.mark.parametrize("distinct", [3, 100_000])
@pytest.mark.parametrize("absent", [0, 10])
def test_points_are_as_by_the_book_where_values_repeat(distinct, absent):
    """A text that is written once stands wherever its value is."""
    random = np.random.default_rng(5)
    values = random.integers(0, distinct, (3, 300)) / 7
    present = random.integers(0, 100, values.shape) >= absent
    matrix = matrix_of(values, present, 1_767_225_600 * S, S)

    assert [bytes(each).decode() for each in points_of(matrix)] == by_the_book(matrix)


def test_labels_of_a_matrix_are_escaped_and_points_are_not_looked_at():
    """The answer is the same JSON as that of any other value."""
    matrix = Matrix(
        [(("a", "<&>"),), ()],
        np.array([S, 2 * S]),
        np.array([[1.5, 2.0], [0.25, 0.0]]),
        np.array([[True, True], [True, False]]),
    )

    body = encode_result(matrix, {"summary": {}}, ["careful"])

    assert body == (
        b'{"status":"success","data":{"resultType":"matrix","result":['
        b'{"metric":{"a":"\\u003c\\u0026\\u003e"},"values":[[1,"1.5"],[2,"2"]]},'
        b'{"metric":{},"values":[[1,"0.25"]]}'
        b'],"stats":{"summary":{}}},"warnings":["careful"]}'
    )
