"""Keep our own entry in a ring: come, say that we live, leave.

Owns one task, one lease and the tokens file. Start early, `join` when pushes
can be taken, `leave` when no more shall come, `stop` at the very end. The store
being away stops nothing: the instance serves on with what it has, and registers
again, with its old tokens, when the store is back.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from loki_py.errors import LokiError, Unavailable
from loki_py.kv.abc import (
    KvListing,
    KvStore,
    KvUnavailable,
    LeaseGone,
    RevisionConflict,
)
from loki_py.ring.desc import (
    InstanceDesc,
    InstanceState,
    decode_instance,
    encode_instance,
    taken_tokens,
)
from loki_py.ring.settings import OwnInstance, RingSettings
from loki_py.ring.token_file import read_tokens, write_tokens
from loki_py.ring.tokens import claim_tokens, peers_of
from loki_py.ring.watcher import backoff_s
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task

CLAIMS_MAX = 1_000
"""Tries to take tokens while others do; each lost try means another one won."""

_NS_PER_S = 1_000_000_000
_log = logger_of("ring")


class InstanceSuperseded(Unavailable):
    """Another process uses our instance id, and came after us."""


class Lifecycler:
    """This process as one instance of one ring. Used on one event loop."""

    def __init__(
        self,
        kv: KvStore,
        settings: RingSettings,
        own: OwnInstance,
        *,
        clock: Clock,
        tokens_path: Path | None = None,
    ) -> None:
        self.settings = settings
        self._kv = kv
        self._own = own
        self._clock = clock
        self._tokens_path = tokens_path
        now_ns = clock.now_ns()
        kept = read_tokens(tokens_path) if tokens_path else ()
        self._desc = InstanceDesc(
            own.instance_id,
            own.address,
            InstanceState.PENDING,
            tokens=kept[: own.tokens_count],
            zone=own.zone,
            registered_ns=now_ns,
            started_ns=now_ns,
            heartbeat_ns=now_ns,
        )
        self._wanted = InstanceState.PENDING
        self._lease = 0
        self._revision = 0
        self._was_registered = False
        self._trouble = "not registered yet"
        self._task: asyncio.Task[None] | None = None
        self._wakeup = asyncio.Event()
        self._beaten = asyncio.Event()

    @property
    def desc(self) -> InstanceDesc:
        """What we say of ourselves."""
        return self._desc

    async def start(self) -> None:
        """Register as PENDING and begin to say that we live.

        Returns after the first try, failed or not.
        """
        self._task = asyncio.create_task(self._run(), name="ring-lifecycler")
        await self._beaten.wait()

    def join(self) -> None:
        """Become JOINING and then ACTIVE, as soon as the store lets us."""
        self._want(InstanceState.ACTIVE)

    def leave(self) -> None:
        """Become LEAVING: no more pushes, reads go on."""
        self._want(InstanceState.LEAVING)

    async def stop(self) -> None:
        """End the task and take our entry out of the ring.

        Where the store is away, the entry goes with its lease.
        """
        task, self._task = self._task, None
        await end_task(task)
        if not self._revision:
            return
        try:
            await self._kv.delete(self.settings.instance_key(self._own.instance_id))
        except KvUnavailable as error:
            _log.warning("our entry is left to its lease", error=str(error))
        self._revision = 0

    def reason_not_ready(self) -> str | None:
        """Return why others do not find us in the ring, None where they do.

        A store that went away after we were ACTIVE is no reason.
        """
        name, state = self.settings.name, self._desc.state
        if self._wanted is InstanceState.LEAVING:
            return f"{name} ring: this instance is leaving"
        if state is not InstanceState.ACTIVE:
            why = f": {self._trouble}" if self._trouble else ""
            return f"{name} ring: this instance is {state.value}{why}"
        if self._was_registered and not self._revision:
            return f"{name} ring: {self._trouble}"
        return None

    async def beat(self) -> None:
        """Make our entry say what is true now, and keep its lease alive.

        Raises: KvUnavailable, InstanceSuperseded, CorruptData.
        """
        try:
            await self._advance()
        except LeaseGone:
            # The store forgot us, or is a new one: what it has is not ours to
            # rely on.
            self._lease = 0
            await self._advance()
        self._trouble = ""

    async def _advance(self) -> None:
        if not self._lease:
            self._lease = await self._kv.grant(self.settings.lease_s)
        await self._kv.keep_alive(self._lease)
        if not self._revision:
            await self._register()
        else:
            await self._refresh(self._desc.state)
        if self._desc.state is InstanceState.PENDING and self._wants_tokens:
            await self._register(joins=True)
        if self._desc.state is not self._wanted and self._may_become_wanted:
            await self._refresh(self._wanted)

    @property
    def _wants_tokens(self) -> bool:
        return self._wanted is InstanceState.ACTIVE

    @property
    def _may_become_wanted(self) -> bool:
        if self._wanted is InstanceState.ACTIVE:
            return self._desc.state is InstanceState.JOINING
        return self._wanted is InstanceState.LEAVING

    async def _refresh(self, state: InstanceState) -> None:
        """Write our entry anew; registers where somebody else changed it."""
        desc = replace(self._desc, state=state, heartbeat_ns=self._clock.now_ns())
        key = self.settings.instance_key(self._own.instance_id)
        try:
            self._revision = await self._kv.write(
                {key: encode_instance(desc)},
                lease=self._lease,
                expected={key: self._revision},
            )
        except RevisionConflict:
            await self._register()
        else:
            self._note_state(desc)

    async def _register(self, *, joins: bool = False) -> None:
        """Put our entry where it is not, or is another process's.

        Raises: InstanceSuperseded.
        """
        for _ in range(CLAIMS_MAX):
            listing = await self._kv.read(self.settings.keys_prefix)
            others = self._instances_in(listing)
            found = others.pop(self._own.instance_id, None)
            self._check_not_superseded(found)
            desc = self._desc_among(others, found, joins=joins)
            try:
                await self._put(desc, listing, found)
            except RevisionConflict:
                continue
            await self._keep_tokens(desc)
            self._note_state(desc)
            return
        raise KvUnavailable(f"lost {CLAIMS_MAX} tries to register in a row")

    async def _put(
        self, desc: InstanceDesc, listing: KvListing, found: InstanceDesc | None
    ) -> None:
        key = self.settings.instance_key(self._own.instance_id)
        puts = {key: encode_instance(desc)}
        expected = {key: listing.revision_of(key)}
        if found is None or found.tokens != desc.tokens:
            epoch_key = self.settings.epoch_key
            puts[epoch_key] = self._own.instance_id.encode()
            expected[epoch_key] = listing.revision_of(epoch_key)
        self._revision = await self._kv.write(
            puts, lease=self._lease, expected=expected
        )
        self._was_registered = True

    def _desc_among(
        self,
        others: Mapping[str, InstanceDesc],
        found: InstanceDesc | None,
        *,
        joins: bool,
    ) -> InstanceDesc:
        """Decide what we are, given who else is there."""
        desc = replace(self._desc, heartbeat_ns=self._clock.now_ns())
        if found is not None:
            desc = replace(
                desc,
                registered_ns=found.registered_ns,
                tokens=desc.tokens or found.tokens,
            )
        if joins:
            desc = replace(desc, state=InstanceState.JOINING)
        taken = taken_tokens(others.values())
        if desc.state is InstanceState.PENDING:
            return replace(desc, tokens=tuple(sorted(set(desc.tokens) - taken)))
        tokens = claim_tokens(
            desc.instance_id,
            count=self._own.tokens_count,
            kept=desc.tokens,
            peers=peers_of(desc, others.values(), zone_aware=self.settings.zone_aware),
            taken=taken,
        )
        return replace(desc, tokens=tokens)

    def _instances_in(self, listing: KvListing) -> dict[str, InstanceDesc]:
        prefix = self.settings.instances_prefix
        return {
            key.removeprefix(prefix): decode_instance(entry.value)
            for key, entry in listing.entries.items()
            if key.startswith(prefix)
        }

    def _check_not_superseded(self, found: InstanceDesc | None) -> None:
        if (
            found is not None
            and self._was_registered
            and found.started_ns != self._desc.started_ns
        ):
            self._revision = 0
            raise InstanceSuperseded(
                f"instance id {self._own.instance_id} is used by another process, "
                f"at {found.address}"
            )

    async def _keep_tokens(self, desc: InstanceDesc) -> None:
        if self._tokens_path is None or desc.state is InstanceState.PENDING:
            return
        try:
            await asyncio.to_thread(write_tokens, self._tokens_path, desc.tokens)
        except OSError as error:
            # Costs our place after the next restart, nothing now.
            _log.warning("tokens are not on disk", error=str(error))

    def _note_state(self, desc: InstanceDesc) -> None:
        if desc.state is not self._desc.state:
            _log.info(
                "instance changes state",
                ring=self.settings.name,
                instance=desc.instance_id,
                state=desc.state.value,
            )
        self._desc = desc

    def _want(self, state: InstanceState) -> None:
        self._wanted = state
        self._wakeup.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            self._wakeup.clear()
            pause_s = self.settings.heartbeat_period_ns / _NS_PER_S
            try:
                await self.beat()
                failures = 0
            except LokiError as error:
                failures += 1
                pause_s = min(pause_s, backoff_s(failures))
                self._note_trouble(str(error))
            except Exception as error:  # noqa: BLE001  # told in readiness
                failures += 1
                _log.exception("heartbeat broke", ring=self.settings.name)
                self._note_trouble(repr(error))
            self._beaten.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wakeup.wait()

    def _note_trouble(self, why: str) -> None:
        if self._trouble in {"", "not registered yet"}:
            _log.warning("ring is not reached", ring=self.settings.name, error=why)
        self._trouble = why
