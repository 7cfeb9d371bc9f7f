"""What is asked of the ring of ingesters by who hands chunks over and takes them."""

from collections.abc import Sequence
from typing import Protocol

from loki_py.ring.desc import InstanceDesc, RingDesc
from loki_py.ring.settings import RingSettings


class OwnersRing(Protocol):
    """Who may own streams, and by what rules."""

    @property
    def settings(self) -> RingSettings: ...

    @property
    def ring(self) -> RingDesc:
        """Everybody, as last heard of."""
        ...

    def writable(self) -> Sequence[InstanceDesc]:
        """Return the instances that take pushes now."""
        ...
