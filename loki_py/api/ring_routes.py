"""Routes about a cluster: its rings, and how an ingester is made to go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from loki_py.api.answers import JSON_HEADERS, NO_CONTENT, PLAIN_HEADERS, Answer, Asked
from loki_py.api.ring_pages import ring_html, ring_json
from loki_py.errors import ValidationFailed
from loki_py.ring.desc import RingDesc
from loki_py.runtime.clock import Clock

_HTML_HEADERS = (("content-type", "text/html; charset=utf-8"),)


class RingView(Protocol):
    """A ring as a page shows it."""

    @property
    def ring(self) -> RingDesc: ...

    @property
    def is_away(self) -> bool: ...

    async def forget(self, instance_id: str) -> None:
        """Take an instance out.

        Raises: Unavailable.
        """
        ...


class ShutdownService(Protocol):
    """How an ingester goes."""

    @property
    def is_prepared(self) -> bool: ...

    def prepare(self, *, wanted: bool) -> None: ...

    async def shut_down(self, *, flush: bool, terminate: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class RingRoutes:
    """Handlers over the rings.

    Attributes:
        rings: by their name.
        heartbeat_ns_max: age at which a heartbeat is too old.
    """

    rings: Mapping[str, RingView]
    clock: Clock
    heartbeat_ns_max: int

    async def ingesters(self, asked: Asked) -> Answer:
        """Answer with the ring of ingesters; a POST forgets an instance."""
        return await self._answer("ingester", asked)

    async def distributors(self, asked: Asked) -> Answer:
        """Answer with the ring of distributors; a POST forgets an instance."""
        return await self._answer("distributor", asked)

    async def _answer(self, name: str, asked: Asked) -> Answer:
        view = self.rings[name]
        if asked.method == "POST":
            instance_id = asked.form.get("forget")
            if instance_id not in view.ring.instances:
                raise ValidationFailed(f"no instance {instance_id!r} in the ring")
            await view.forget(instance_id)
            where = "/ring" if name == "ingester" else f"/{name}/ring"
            return Answer(b"", (("location", where),), 302)
        now_ns = self.clock.now_ns()
        if "application/json" in asked.headers.get("accept", ""):
            body = ring_json(
                view.ring, heartbeat_ns_max=self.heartbeat_ns_max, now_ns=now_ns
            )
            return Answer(body, JSON_HEADERS)
        page = ring_html(
            view.ring,
            title=f"{name.capitalize()} ring",
            heartbeat_ns_max=self.heartbeat_ns_max,
            now_ns=now_ns,
            store_is_away=view.is_away,
        )
        return Answer(page.encode(), _HTML_HEADERS)


@dataclass(frozen=True, slots=True)
class ShutdownRoutes:
    """Handlers over the end of an ingester."""

    service: ShutdownService

    async def shut_down(self, asked: Asked) -> Answer:
        """Answer when the ingester takes no more, and what it held is flushed."""
        await self.service.shut_down(
            flush=_flag(asked, "flush", default=True),
            terminate=_flag(asked, "terminate", default=True),
        )
        return NO_CONTENT

    async def prepare(self, asked: Asked) -> Answer:
        """Tell, set (POST) or unset (DELETE) that the next stop is for good."""
        if asked.method != "GET":
            self.service.prepare(wanted=asked.method == "POST")
            return NO_CONTENT
        told = b"set" if self.service.is_prepared else b"unset"
        return Answer(told, PLAIN_HEADERS)


def _flag(asked: Asked, name: str, *, default: bool) -> bool:
    text = asked.form.get(name)
    if text not in {"", "true", "false"}:
        raise ValidationFailed(f"{name} is {text!r}; it is true or false")
    return text == "true" if text else default
