"""IP patterns of `ip("…")`: one address, a network, or a range."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from loki_py.model.labels import quote


class IpPatternInvalid(ValueError):
    """Text that is no address, network or range; the message is Loki's."""


@dataclass(frozen=True, slots=True)
class IpRange:
    """The addresses [first, last], both included, of one IP version.

    Attributes:
        version: 4 or 6.
    """

    version: int
    first: int
    last: int

    def holds(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether the address is in the range."""
        return (
            address.version == self.version and self.first <= int(address) <= self.last
        )


def parse_ip_pattern(text: str) -> IpRange:
    """Return the addresses that `192.168.0.1`, `10.0.0.0/8` or `::1-::9` name.

    Raises: IpPatternInvalid.
    """
    try:
        address, slash, bits = text.partition("/")
        if slash:
            network = ip_network((address, _prefix_bits(bits)), strict=False)
            return IpRange(
                network.version,
                int(network.network_address),
                int(network.broadcast_address),
            )
        first_text, dash, last_text = text.partition("-")
        first = ip_address(first_text)
        last = ip_address(last_text) if dash else first
    except ValueError:
        raise IpPatternInvalid(f"ip: invalid pattern: {quote(text)}") from None
    if first.version != last.version or int(first) > int(last):
        raise IpPatternInvalid(f"ip: invalid pattern: {quote(text)}")
    return IpRange(first.version, int(first), int(last))


def _prefix_bits(text: str) -> int:
    """Return a number of digits alone, as Go reads it. Raises: ValueError."""
    if text != str(bits := int(text)):
        raise ValueError(f"{text!r} is no number of bits")
    return bits
