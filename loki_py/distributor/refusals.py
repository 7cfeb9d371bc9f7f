"""Why entries of a push are refused: Loki's texts and reasons, counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from loki_py.errors import RequestRejected, ValidationFailed

MISSING_LABELS = "missing_labels"
MAX_LABEL_NAMES = "max_label_names_per_series"
LABEL_NAME_TOO_LONG = "label_name_too_long"
LABEL_VALUE_TOO_LONG = "label_value_too_long"
DUPLICATE_LABEL_NAMES = "duplicate_label_names"
MISSING_ENFORCED_LABELS = "missing_enforced_labels"
BLOCKED = "blocked_ingestion"
BLOCKED_POLICY = "blocked_ingestion_policy"
TOO_OLD = "greater_than_max_sample_age"
TOO_NEW = "too_far_in_future"
LINE_TOO_LONG = "line_too_long"
METADATA_DISALLOWED = "disallowed_structured_metadata"
METADATA_TOO_LARGE = "structured_metadata_too_large"
METADATA_TOO_MANY = "structured_metadata_too_many"
RATE_LIMITED = "rate_limited"

MESSAGES_MAX = 100
"""Distinct messages in one answer; the rest is only counted."""
SHOWN_CHARS_MAX = 16_384
"""Characters of labels shown in a message."""

_BLOCKED_STATUS_SILENT = 200


@dataclass(slots=True)
class Refusals:
    """What was refused of one push.

    Attributes:
        entries, bytes: how much, by (reason, policy), as metrics count it.
    """

    entries: dict[tuple[str, str], int] = field(default_factory=dict)
    bytes: dict[tuple[str, str], int] = field(default_factory=dict)
    _messages: dict[str, int] = field(default_factory=dict)
    _statuses: set[int] = field(default_factory=set)
    _unshown: int = 0

    def say(self, message: str, *, times: int = 1, status: int = 400) -> None:
        """Add what the client is told; a status of 200 tells nothing."""
        if status == _BLOCKED_STATUS_SILENT:
            return
        self._statuses.add(status)
        if message in self._messages or len(self._messages) < MESSAGES_MAX:
            self._messages[message] = self._messages.get(message, 0) + times
        else:
            self._unshown += times

    def leave_out(self, times: int) -> None:
        """Add errors that the client is told the number of, not the text."""
        self._unshown += times

    def count(self, reason: str, policy: str, *, entries: int, size_bytes: int) -> None:
        """Add what metrics are told."""
        key = (reason, policy)
        self.entries[key] = self.entries.get(key, 0) + entries
        self.bytes[key] = self.bytes.get(key, 0) + size_bytes

    @property
    def entries_count(self) -> int:
        """How many entries were refused."""
        return sum(self.entries.values())

    def error(self) -> RequestRejected | None:
        """Return the answer to the client, or None where nothing was refused."""
        if not self._messages:
            return None
        status = self._statuses.pop() if len(self._statuses) == 1 else 400
        return ValidationFailed("; ".join(self._lines()), status=status)

    def _lines(self) -> Iterator[str]:
        if list(self._messages.values()) == [1] and not self._unshown:
            yield from self._messages
            return
        for message, times in self._messages.items():
            yield f"{times} errors like: {message}"
        if self._unshown:
            yield f"{self._unshown} more errors"


def shown(text: str) -> str:
    """Return the text, cut where it is longer than any client wants to read."""
    return text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"


def metadata_disallowed(labels: str) -> str:
    """Return Loki's text."""
    return (
        f"stream '{labels}' includes structured metadata, but this feature is "
        "disallowed. Please see `limits_config.allow_structured_metadata` or contact "
        "your Loki administrator to enable it"
    )


def metadata_too_large(labels: str, size_bytes: int, *, bytes_max: int) -> str:
    """Return Loki's text."""
    return (
        f"stream '{labels}' has structured metadata too large: '{size_bytes}' bytes, "
        f"limit: '{bytes_max}' bytes. Please see "
        "`limits_config.max_structured_metadata_size` or contact your Loki "
        "administrator to increase it"
    )


def metadata_too_many(labels: str, count: int, *, count_max: int) -> str:
    """Return Loki's text."""
    return (
        f"stream '{labels}' has too many structured metadata labels: '{count}', "
        f"limit: '{count_max}'. Please see "
        "`limits_config.max_structured_metadata_entries_count` or contact your Loki "
        "administrator to increase it"
    )


def line_too_long(labels: str, size_bytes: int, *, bytes_max: int) -> str:
    """Return Loki's text."""
    return (
        f"max entry size '{bytes_max}' bytes exceeded for stream '{labels}' while "
        f"adding an entry with length '{size_bytes}' bytes"
    )


def blocked(tenant: str, *, policy: str, until: str, status: int) -> str:
    """Return Loki's text."""
    named = f" (policy: '{policy}')" if policy else ""
    return (
        f"ingestion blocked for user '{tenant}'{named} until '{until}' with status "
        f"code '{status}'"
    )
