"""A device on the path, made for tests: forwards bytes and cuts connections by a rule of its own."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum


class Cut(Enum):
    """What it counts, and what it does then."""

    SILENCE_FORGOTTEN = "forgets a connection after silence, and says nothing"
    SILENCE_THEN_RST = "forgets a connection after silence, and answers what still comes with an RST"
    SERVER_SILENCE = "sends FIN after silence of the server, whatever the client sends"
    AGE = "sends FIN at an age"


_FORGETS = (Cut.SILENCE_FORGOTTEN, Cut.SILENCE_THEN_RST)


@dataclass
class _Flow:
    """One connection through the device."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    opened_s: float
    last_s: float
    last_server_s: float
    forgotten: bool = False


class Device:
    """Forwards to ``target`` (a port on loopback) and applies one rule."""

    def __init__(self, target: int, cut: Cut, after_s: float) -> None:
        self._target, self._cut, self._after_s = target, cut, after_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        now = asyncio.get_running_loop().time()
        flow = _Flow(writer, far_writer, now, now, now)
        jobs = [
            self._forward(flow, reader, far_writer, from_server=False),
            self._forward(flow, far_reader, writer, from_server=True),
            self._watch(flow),
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for side in (writer, far_writer):
                side.close()

    async def _forward(
        self, flow: _Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                # By the clock, as its own watch may come late on a busy machine and find it refreshed.
                silent_s = asyncio.get_running_loop().time() - flow.last_s
                flow.forgotten |= self._cut in _FORGETS and silent_s >= self._after_s
                if flow.forgotten:
                    if self._cut is Cut.SILENCE_THEN_RST and not from_server:
                        _reset(flow.client)
                        return
                    continue
                flow.last_s = asyncio.get_running_loop().time()
                flow.last_server_s = flow.last_s if from_server else flow.last_server_s
                writer.write(data)

    async def _watch(self, flow: _Flow) -> None:
        since: Callable[[], float] = {
            Cut.SILENCE_FORGOTTEN: lambda: flow.last_s,
            Cut.SILENCE_THEN_RST: lambda: flow.last_s,
            Cut.SERVER_SILENCE: lambda: flow.last_server_s,
            Cut.AGE: lambda: flow.opened_s,
        }[self._cut]
        loop = asyncio.get_running_loop()
        while (wait_s := since() + self._after_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        if self._cut in _FORGETS:
            flow.forgotten = True
            await asyncio.Event().wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def device(target: int, cut: Cut, after_s: float) -> AsyncIterator[int]:
    """The port it listens on."""
    server = await asyncio.start_server(Device(target, cut, after_s).serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
