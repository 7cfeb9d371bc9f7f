"""What a query found out about lines of a block file serves the next ones."""

import numpy as np
from test_searched_blocks import ROWS, STREAMS, units

from loki_py.logql.stages.line_chunks import LiteralSearch
from loki_py.model.scan import Columns, ReadStats


def read(unit, search=None):
    return unit.read(Columns(in_place=True, search=search), ReadStats())


def learn(batch, *, other=()):
    """Note that all lines are plain but those of some streams."""
    names = [STREAMS[position].get("app") for position in other]
    is_other = [batch.streams[s].get("app") in names for s in batch.stream]
    batch.facts.note_plain_json(~np.array(is_other))


def known(batch):
    return batch.facts.are_plain_json


def test_lines_that_were_looked_at_are_known_to_every_selection(tmp_path):
    """Each stream's by itself: what is known of one says nothing of others."""
    (unit,) = units(tmp_path)
    learn(read(unit), other=(2,))
    file = unit.units[0].local

    found = {
        streams: known(read(units(tmp_path, streams=streams, local=file)[0]))
        for streams in [(0,), (1, 3), (2,), (2, 3), (0, 1, 2, 3)]
    }

    assert found == {
        (0,): True, (1, 3): True, (2,): False, (2, 3): False, (0, 1, 2, 3): False
    }  # fmt: skip


def test_lines_of_other_selections_stay_unknown(tmp_path):
    (unit,) = units(tmp_path, streams=(1,))
    learn(read(unit))
    local = unit.units[0].local

    assert known(read(units(tmp_path, streams=(1,), local=local)[0])) is True
    assert known(read(units(tmp_path, streams=(0, 1), local=local)[0])) is None


def test_lines_of_a_part_of_the_time_know_and_do_not_teach(tmp_path):
    (unit,) = units(tmp_path)
    local = unit.units[0].local
    (cut,) = units(tmp_path, start_ns=10, end_ns=ROWS - 10, local=local)

    assert not read(cut).facts.can_learn
    learn(read(unit))
    assert known(read(cut)) is True


def test_lines_that_a_search_left_do_not_teach(tmp_path):
    (unit,) = units(tmp_path)

    batch = read(unit, LiteralSearch(["needle of é"]))

    assert len(batch) < len(STREAMS) * ROWS
    assert not batch.facts.can_learn


def test_a_block_alone_teaches_its_own_lines(tmp_path):
    (unit,) = units(tmp_path)
    first, second = unit.units[:2]
    learn(read(first))

    assert known(read(first)) is True
    assert known(read(second)) is None
    assert known(read(unit)) is None


def test_times_alone_have_no_facts(tmp_path):
    (unit,) = units(tmp_path)

    assert unit.read(Columns(line=False), ReadStats()).facts is None
