"""The patterns of all tenants' streams and their counts, in bounded memory.

What is counted is taken out from time to time, to be stored elsewhere; the
patterns themselves stay, so that later lines find them.

Pure: the caller supplies the clock.
"""

from collections import OrderedDict
from collections.abc import Sequence

from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, selects
from loki_py.model.pattern_rows import SPAN_NS, PatternRows, RowsBuilder
from loki_py.patterns.drain import Cluster, Drain
from loki_py.patterns.tokens import text_of, tokens_of

KEPT_NS = 3 * 3_600 * 1_000_000_000
"""How long a pattern is remembered that no line has."""

CLUSTERS_MAX = 100_000
"""Clusters of all streams; beyond, the streams longest silent are forgotten."""

SAMPLES_MAX = 1_000_000
"""Counts of all clusters; beyond, lines of other times are not counted."""


class PatternTable:
    """Trees by tenant, stream and level.

    Not thread-safe.

    Attributes:
        samples_count: counts that are held, about.
        uncounted: lines for which there was no room, since the last look.
    """

    def __init__(self) -> None:
        self._trees: OrderedDict[tuple[str, LabelSet, str], Drain] = OrderedDict()
        self._clusters = 0
        self.samples_count = 0
        self.uncounted = 0

    def __len__(self) -> int:
        return self._clusters

    def add(
        self,
        key: tuple[str, LabelSet, str],
        lines: Sequence[str],
        timestamps_ns: Sequence[int],
        *,
        weight: float,
        now_ns: int,
    ) -> None:
        """Take lines in.

        Args:
            key: tenant, stream and level.
            lines: some lines of them.
            timestamps_ns: when each was.
            weight: how many lines each of these stands for.
            now_ns: the wall clock.
        """
        tree = self._trees.setdefault(key, Drain())
        self._trees.move_to_end(key)
        before = len(tree)
        for line, time_ns in zip(lines, timestamps_ns, strict=True):
            tokens = tokens_of(line)
            if tokens is None:
                continue
            cluster = tree.add(tokens)
            cluster.seen_ns = now_ns
            self._count(cluster, time_ns // SPAN_NS, weight)
        self._clusters += len(tree) - before
        while self._clusters > CLUSTERS_MAX and len(self._trees) > 1:
            _, silent = self._trees.popitem(last=False)
            self._clusters -= len(silent)
            self.samples_count -= sum(len(cluster.samples) for cluster in silent)

    def _count(self, cluster: Cluster, span: int, weight: float) -> None:
        samples = cluster.samples
        if span in samples:
            samples[span] += weight
        elif self.samples_count < SAMPLES_MAX:
            samples[span] = weight
            self.samples_count += 1
        else:
            self.uncounted += 1

    def forget(self, *, before_ns: int) -> None:
        """Drop patterns that no line had since then, with what they counted."""
        self.samples_count = 0
        for key, tree in list(self._trees.items()):
            for cluster in tree:
                if cluster.seen_ns < before_ns:
                    tree.remove(cluster)
                    self._clusters -= 1
                else:
                    self.samples_count += len(cluster.samples)
            if not len(tree):
                del self._trees[key]

    def rows(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> PatternRows:
        """Return what is counted of matching streams in spans of [start, end)."""
        built = RowsBuilder()
        for (owner, labels, level), tree in self._trees.items():
            if owner != tenant or not selects(matchers, labels):
                continue
            for cluster in tree:
                chosen = {
                    span: lines
                    for span, lines in cluster.samples.items()
                    if start_ns <= span * SPAN_NS < end_ns
                }
                if chosen:
                    text = text_of(cluster.texts, cluster.after)
                    built.add(labels, level, text, chosen)
        return built.rows()

    def counted(self) -> dict[str, PatternRows]:
        """Return all that is counted, by tenant."""
        built: dict[str, RowsBuilder] = {}
        for (tenant, labels, level), tree in self._trees.items():
            for cluster in tree:
                if cluster.samples:
                    text = text_of(cluster.texts, cluster.after)
                    rows = built.setdefault(tenant, RowsBuilder())
                    rows.add(labels, level, text, cluster.samples)
        return {tenant: rows.rows() for tenant, rows in built.items()}

    def take(self) -> dict[str, PatternRows]:
        """Return all that is counted by tenant, and count from nothing on."""
        counted = self.counted()
        for tree in self._trees.values():
            for cluster in tree:
                cluster.samples = {}
        self.samples_count = 0
        return counted
