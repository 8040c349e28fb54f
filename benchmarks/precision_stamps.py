"""A backend that notes when the messages it echoes were due and sent: their stamps say so.

So the driver's lag is seen message by message, from outside, while the run is an ordinary one. It is the
embedded backend with a note taken behind each echo. Prints its port, serves until SIGTERM, then writes what
it noted to a file.

    python -m benchmarks.precision_stamps CORES FILE.npy
"""

import argparse
import asyncio
import gc
import os
import signal
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from wsload.backend.messages import Serve
from wsload.backend.server import Server
from wsload.backend.tunnel import EchoTunnel
from wsload.children import die_with_parent
from wsload.wire.frames import STAMP_BYTES

_MASK_AT, _STAMP_AT = 2, 6
"""In a short masked frame."""

_notes: list[bytes] = []
"""Mask and masked stamp of the first message of each read."""


class NotingTunnel(EchoTunnel):
    """Echoes, then takes its note."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """See the base."""
        super().data_received(data)
        _notes.append(data[_MASK_AT : _STAMP_AT + STAMP_BYTES])


class NotingServer(Server):
    """The embedded backend's, with tunnels that take notes."""

    def __init__(self) -> None:
        super().__init__(Serve(listeners=[]))
        self._tunnel_class = NotingTunnel


def read_stamps(notes: list[bytes]) -> NDArray[np.int64]:
    """Due and sent times in ns, a row a message; what is too short for a stamp is left out."""
    whole = [note for note in notes if len(note) == _STAMP_AT - _MASK_AT + STAMP_BYTES]
    words = np.frombuffer(b"".join(whole), "<u4").reshape(-1, 5)
    times_ns: NDArray[np.int64] = np.ascontiguousarray(words[:, 1:] ^ words[:, :1]).view("<i8")
    return times_ns


async def serve() -> None:
    """Until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    server = NotingServer()
    _, port = await server.listen("127.0.0.1", 0)
    gc.collect()
    gc.freeze()
    gc.disable()
    print(port, flush=True)
    await over.wait()
    server.stop()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cores", help="to run on, such as 0,1")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    die_with_parent(os.getppid())
    os.sched_setaffinity(0, [int(core) for core in options.cores.split(",")])
    uvloop.run(serve())
    np.save(options.file, read_stamps(_notes))


if __name__ == "__main__":
    main()
