"""Entries as a store holds them, and one entry's labels on its way."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One stored line; `stream` and `metadata` are dicts of text to text."""

    stream: dict
    timestamp_ns: int
    line: str
    metadata: dict = field(default_factory=dict)


class Row:
    """An entry in a pipeline: its line and its labels, in three categories."""

    def __init__(self, entry):
        self.entry = entry
        self.line = entry.line
        self.stream = dict(entry.stream)
        self.metadata = {
            (f"{name}_extracted" if name in entry.stream else name): value
            for name, value in entry.metadata.items()
        }
        self.parsed = {}
        self.error = None
        self.details = None
        self.preserved = False

    def get(self, name):
        """Return a label by plain name, None where it is missing."""
        if name == "__error__":
            return self.error
        for labels in (self.parsed, self.metadata, self.stream):
            if name in labels:
                return labels[name]
        return None

    def labels(self):
        """Return all categories in one map; errors are labels too."""
        shown = {**self.stream, **self.metadata, **self.parsed}
        if self.error is not None:
            shown["__error__"] = self.error
        if self.details is not None:
            shown["__error_details__"] = self.details
        return shown

    def set(self, name, value):
        """Set a parsed label; it takes the place of whatever has the name."""
        self.metadata.pop(name, None)
        self.parsed[name] = value

    def remove(self, name):
        for labels in (self.parsed, self.metadata, self.stream):
            labels.pop(name, None)

    def fail(self, kind, details=None):
        """Put the row in error."""
        self.error = kind
        if details is not None:
            self.details = details

    def name_for(self, name):
        """Return what a parser calls a label: `_extracted` where the name is taken."""
        taken = name in self.entry.stream or name in self.metadata
        return f"{name}_extracted" if taken else name
