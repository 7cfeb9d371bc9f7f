"""Drain: lines to clusters of lines that differ in a few tokens.

A tree finds candidates: by number of tokens, then token by token, with one
branch for everything that varies. Of the candidates the most similar takes the
line, and what differs becomes a wildcard. He, Zhu, Zheng, Lyu: "Drain: an
online log parsing approach with fixed depth tree", 2017.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from loki_py.patterns.tokens import WILDCARD, Tokens

CLUSTERS_MAX = 300
"""Clusters of one tree; beyond, the one longest unseen goes."""

DEPTH_MAX = 28
"""Tokens that the tree looks at."""

CHILDREN_MAX = 15
SIMILARITY_MIN = 0.3

_NUMBERS = frozenset("0123456789")


@dataclass(slots=True, eq=False)
class Cluster:
    """Lines with one pattern.

    Attributes:
        texts: the tokens; WILDCARD where lines differ.
        after: what stands behind each token.
        samples: lines by span of time.
        seen_ns: when a line came last, by the wall clock.
    """

    texts: list[str]
    after: Sequence[str]
    samples: dict[int, float] = field(default_factory=dict)
    seen_ns: int = 0


@dataclass(slots=True, eq=False)
class _Node:
    children: "dict[str, _Node]" = field(default_factory=dict)
    clusters: list[Cluster] = field(default_factory=list)


class Drain:
    """The clusters of one kind of lines, in bounded memory."""

    def __init__(self) -> None:
        self._by_length: dict[int, _Node] = {}
        # The clusters in the order they were seen last, with their leaves.
        self._seen: dict[Cluster, _Node] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Cluster]:
        return iter(tuple(self._seen))

    def add(self, tokens: Tokens) -> Cluster:
        """Return the cluster that the line belongs to from now on."""
        leaf = self._leaf_of(tokens.texts)
        cluster = _most_similar(leaf.clusters, tokens.texts)
        if cluster is None:
            cluster = Cluster(list(tokens.texts), tokens.after)
            leaf.clusters.append(cluster)
        else:
            _generalise(cluster, tokens.texts)
        self._seen[cluster] = self._seen.pop(cluster, leaf)
        if len(self._seen) > CLUSTERS_MAX:
            self.remove(next(iter(self._seen)))
        return cluster

    def remove(self, cluster: Cluster) -> None:
        """Forget a cluster; branches without any stay, as they are few."""
        self._seen.pop(cluster).clusters.remove(cluster)
        if not self._seen:
            self._by_length.clear()

    def _leaf_of(self, texts: Sequence[str]) -> _Node:
        node = self._by_length.setdefault(len(texts), _Node())
        for text in texts[: min(DEPTH_MAX, len(texts) - 1)]:
            node = _child_of(node, text)
        return node


def _child_of(node: _Node, text: str) -> _Node:
    children = node.children
    child = children.get(text) or children.get(WILDCARD)
    if child is not None:
        return child
    varies = not _NUMBERS.isdisjoint(text) or len(children) >= CHILDREN_MAX - 1
    return children.setdefault(WILDCARD if varies else text, _Node())


def _most_similar(clusters: Sequence[Cluster], texts: Sequence[str]) -> Cluster | None:
    """Return the cluster with most equal tokens, and of those most wildcards."""
    best: tuple[int, int] = (0, -1)
    found = None
    least = SIMILARITY_MIN * len(texts)
    for cluster in clusters:
        equal = sum(map(str.__eq__, cluster.texts, texts))
        rank = (equal, cluster.texts.count(WILDCARD))
        if equal >= least and rank > best:
            best, found = rank, cluster
    return found


def _generalise(cluster: Cluster, texts: Sequence[str]) -> None:
    cluster.texts = [
        mine if mine == other else WILDCARD
        for mine, other in zip(cluster.texts, texts, strict=True)
    ]
