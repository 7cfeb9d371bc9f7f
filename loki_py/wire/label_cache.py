"""Label sets by the raw bytes that spelled them, so each is parsed once."""

from collections.abc import Callable, Sequence

from loki_py.model.labels import LabelSet

KEYS_MAX = 100_000
"""Keys of one generation; two generations are held."""
KEY_BYTES_MAX = 4096
"""Longer spellings are parsed each time."""


class LabelCache:
    """A bounded cache; what was used lately survives, what was not is dropped.

    At most twice KEYS_MAX keys of at most KEY_BYTES_MAX bytes are held.
    """

    def __init__(self, *, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._young: dict[bytes, LabelSet] = {}
        self._old: dict[bytes, LabelSet] = {}

    def get_all(
        self, keys: Sequence[bytes], parse: Callable[[bytes], LabelSet]
    ) -> list[LabelSet]:
        """Return the label set of each key; those not stored are parsed and stored.

        Raises: whatever `parse` does.
        """
        found = list(map(self._young.get, keys))
        if all(found):
            return found  # type: ignore[return-value]
        return [self._get(key, parse) for key in keys]

    def _get(self, key: bytes, parse: Callable[[bytes], LabelSet]) -> LabelSet:
        labels = self.find(key)
        if labels is None:
            labels = parse(key)
            self.put(key, labels)
        return labels

    def find(self, key: bytes) -> LabelSet | None:
        """Return the label set stored for these bytes, or None."""
        labels = self._young.get(key)
        if labels is None:
            labels = self._old.get(key)
            if labels is not None:
                self.put(key, labels)
        return labels

    def put(self, key: bytes, labels: LabelSet) -> None:
        """Store what the bytes spell."""
        if len(key) > KEY_BYTES_MAX:
            return
        if len(self._young) >= self._keys_max:
            self._old, self._young = self._young, {}
        self._young[key] = labels
