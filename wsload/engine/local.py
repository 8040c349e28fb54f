"""Workers as processes on this machine."""

import asyncio
import signal
from collections.abc import Sequence

from wsload.children import PythonChild, in_turn
from wsload.driver.messages import Drain, Finished, FromWorker, Go, Offer, Prepare, Ready
from wsload.engine.base import WorkerDone, WorkerEvent, WorkerLost
from wsload.errors import ChildError
from wsload.plan.model import Assignment, Endpoint
from wsload.record.snapshot import Snapshot


class LocalEngine:
    """See :class:`wsload.engine.base.Engine`."""

    def __init__(self, cores: Sequence[int] = ()) -> None:
        """``cores`` pins worker processes to these, in turn; empty: they run where the kernel likes."""
        self._cores = cores
        self._children: list[PythonChild[FromWorker]] = []
        self._readers: list[asyncio.Task[None]] = []
        self._events: asyncio.Queue[WorkerEvent] = asyncio.Queue()
        self._base_rss_bytes = 0
        self._given_up: set[int] = set()

    async def prepare(
        self,
        assignments: Sequence[Assignment],
        endpoints: Sequence[Endpoint],
        headers: dict[str, str],
        subprotocols: Sequence[str],
    ) -> None:
        """See the protocol."""
        for assignment in assignments:
            child: PythonChild[FromWorker] = await PythonChild.spawn(
                "wsload.driver",
                FromWorker,
                f"driver worker {assignment.worker}",
                in_turn(self._cores, assignment.worker),
            )
            self._children.append(child)
            child.channel.send(Prepare(assignment, tuple(endpoints), headers, tuple(subprotocols)))
        for number, child in enumerate(self._children):
            message = await child.expect()
            if not isinstance(message, Ready):
                raise ChildError(f"{child.name} answered out of turn: {type(message).__name__}")
            self._base_rss_bytes += message.rss_bytes
            self._readers.append(asyncio.create_task(self._read(number, child)))

    def go(self, start_ns: int) -> None:
        """See the protocol."""
        for child in self._children:
            child.channel.send(Go(start_ns))

    def offer(self, offer: Offer) -> None:
        """See the protocol."""
        for child in self._children:
            child.channel.send(offer)

    def drain(self) -> None:
        """See the protocol."""
        for child in self._children:
            child.channel.send(Drain())

    async def next_event(self) -> WorkerEvent:
        """See the protocol."""
        return await self._events.get()

    def base_rss_bytes(self) -> int:
        """See the protocol."""
        return self._base_rss_bytes

    def pids(self) -> list[int]:
        """Process ids, in the order of the assignments."""
        return [child.process.pid for child in self._children]

    def give_up(self) -> None:
        """See the protocol."""
        for number, (child, reader) in enumerate(zip(self._children, self._readers, strict=True)):
            if not reader.done():
                self._given_up.add(number)
                child.process.signal(signal.SIGKILL)

    def stop(self) -> None:
        """See the protocol."""
        for reader in self._readers:
            reader.cancel()
        for child in self._children:
            child.close()
        self._children.clear()

    async def _read(self, number: int, child: PythonChild[FromWorker]) -> None:
        while (message := await child.channel.receive()) is not None:
            if isinstance(message, Finished):
                self._events.put_nowait(WorkerDone(number))
                return
            if isinstance(message, Snapshot):
                self._events.put_nowait(message)
        await child.process.wait(1.0)
        ending = "fell silent and was killed" if number in self._given_up else f"ended{child.last_words()}"
        self._events.put_nowait(WorkerLost(number, f"{child.name} {ending}"))
