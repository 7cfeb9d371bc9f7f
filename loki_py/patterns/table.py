"""The patterns of all tenants' streams, kept for a few hours, in bounded memory.

Pure: the caller supplies the clock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, selects
from loki_py.patterns.drain import Drain
from loki_py.patterns.tokens import text_of, tokens_of

SAMPLE_NS = 10_000_000_000
KEPT_NS = 3 * 3_600 * 1_000_000_000
CLUSTERS_MAX = 100_000
"""Clusters of all streams; beyond, the streams longest silent are forgotten."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of the lines of one level.

    Attributes:
        samples: (start of the step in ns, lines), ascending.
    """

    pattern: str
    level: str
    samples: Sequence[tuple[int, int]]


class PatternTable:
    """Trees by tenant, stream and level.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._trees: OrderedDict[tuple[str, LabelSet, str], Drain] = OrderedDict()
        self._clusters = 0

    def __len__(self) -> int:
        return self._clusters

    def add(
        self,
        key: tuple[str, LabelSet, str],
        lines: Sequence[str],
        timestamps_ns: Sequence[int],
        *,
        weight: float,
    ) -> None:
        """Take lines in.

        Args:
            key: tenant, stream and level.
            lines: some lines of them.
            timestamps_ns: when each was.
            weight: how many lines each of these stands for.
        """
        tree = self._trees.setdefault(key, Drain())
        self._trees.move_to_end(key)
        before = len(tree)
        for line, time_ns in zip(lines, timestamps_ns, strict=True):
            tokens = tokens_of(line)
            if tokens is None:
                continue
            samples = tree.add(tokens).samples
            span = time_ns // SAMPLE_NS
            samples[span] = samples.get(span, 0) + weight
        self._clusters += len(tree) - before
        while self._clusters > CLUSTERS_MAX and len(self._trees) > 1:
            self._clusters -= len(self._trees.popitem(last=False)[1])

    def forget(self, *, before_ns: int) -> None:
        """Drop samples older than that, and what has none any more."""
        oldest = before_ns // SAMPLE_NS
        for key, tree in list(self._trees.items()):
            for cluster in tree:
                kept = {s: n for s, n in cluster.samples.items() if s >= oldest}
                cluster.samples = kept
                if not kept:
                    tree.remove(cluster)
                    self._clusters -= 1
            if not len(tree):
                del self._trees[key]

    def select(
        self,
        tenant: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        step_ns: int,
    ) -> list[Pattern]:
        """Return the patterns of matching streams, those with most lines first."""
        step_ns = max(step_ns, SAMPLE_NS)
        found: dict[tuple[str, str], dict[int, float]] = {}
        for (owner, labels, level), tree in self._trees.items():
            if owner != tenant or not selects(matchers, labels):
                continue
            for cluster in tree:
                total = found.setdefault(
                    (text_of(cluster.texts, cluster.after), level), {}
                )
                for span, count in cluster.samples.items():
                    time_ns = span * SAMPLE_NS
                    if start_ns <= time_ns < end_ns:
                        step = time_ns - time_ns % step_ns
                        total[step] = total.get(step, 0) + count
        patterns = [
            Pattern(text, level, [(at, round(total[at])) for at in sorted(total)])
            for (text, level), total in found.items()
            if total
        ]
        patterns.sort(key=lambda p: (-sum(n for _, n in p.samples), p.pattern))
        return patterns
