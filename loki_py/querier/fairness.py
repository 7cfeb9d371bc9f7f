"""Whose query runs next: tenants take turns, however many queries each has.

Pure: `executor` waits and runs.
"""

from collections import deque
from typing import Generic, TypeVar

from loki_py.errors import LimitExceeded

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of many tenants, handed out round robin over the tenants.

    Args:
        outstanding_max: items of one tenant that may wait.
    """

    def __init__(self, *, outstanding_max: int) -> None:
        self._outstanding_max = outstanding_max
        self._waiting: dict[str, deque[T]] = {}

    def push(self, tenant: str, item: T) -> None:
        """Put an item behind the others of its tenant.

        Raises: LimitExceeded where too many of the tenant wait.
        """
        queue = self._waiting.setdefault(tenant, deque())
        if len(queue) >= self._outstanding_max:
            raise LimitExceeded("too many outstanding requests")
        queue.append(item)

    def pop(self) -> T | None:
        """Return the first item of the tenant whose turn it is, None for none."""
        for tenant, queue in self._waiting.items():
            item = queue.popleft()
            # Last in the dict is last in turn.
            del self._waiting[tenant]
            if queue:
                self._waiting[tenant] = queue
            return item
        return None

    def discard(self, tenant: str, item: T) -> None:
        """Take an item out, if it still waits."""
        queue = self._waiting.get(tenant, deque())
        if item in queue:
            queue.remove(item)
            if not queue:
                del self._waiting[tenant]

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))
