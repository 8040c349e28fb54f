"""What a run asks of whatever runs its workers."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from wsload.driver.messages import Offer
from wsload.plan.model import Assignment, Endpoint
from wsload.record.snapshot import Snapshot


class WorkerDone(msgspec.Struct, frozen=True):
    """A worker ended as it should; nothing more comes from it."""

    worker: int


class WorkerLost(msgspec.Struct, frozen=True):
    """A worker ended, or was ended, before its work was done."""

    worker: int
    reason: str


WorkerEvent = Snapshot | WorkerDone | WorkerLost


class Engine(Protocol):
    """Runs workers. Life: ``prepare``, ``go``, ``next_event`` until all are done or lost, ``stop``."""

    async def prepare(
        self,
        assignments: Sequence[Assignment],
        endpoints: Sequence[Endpoint],
        headers: dict[str, str],
        subprotocols: Sequence[str],
    ) -> None:
        """Start a worker for each assignment and wait until all are ready. Raises ChildError."""
        ...

    def go(self, start_ns: int) -> None:
        """The run starts at this monotonic time."""
        ...

    def offer(self, offer: Offer) -> None:
        """Hold another number of tunnels."""
        ...

    def drain(self) -> None:
        """Close all tunnels now."""
        ...

    async def next_event(self) -> WorkerEvent:
        """Wait for what happens next."""
        ...

    def base_rss_bytes(self) -> int:
        """Resident memory of all workers together when they were ready, before any tunnel."""
        ...

    def give_up(self) -> None:
        """End the workers that are not done; each is then reported lost."""
        ...

    def stop(self) -> None:
        """End all workers at once; safe at any time, also twice."""
        ...
