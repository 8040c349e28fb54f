"""A worker process: ``python -m wsload.driver FD``, started by :mod:`wsload.engine.local`."""

import asyncio
import gc

import uvloop

from wsload.children import Channel, parent_channel
from wsload.driver import health
from wsload.driver.messages import Drain, Go, Offer, Prepare, Ready, ToWorker
from wsload.driver.turns import take_short_turns
from wsload.driver.worker import Worker


async def main() -> None:
    """Serve the parent until it closes the channel."""
    health.raise_descriptor_limit()
    take_short_turns()
    channel: Channel[ToWorker] = await parent_channel(ToWorker)
    worker: Worker | None = None
    while (message := await channel.receive()) is not None:
        if isinstance(message, Prepare):
            worker = Worker(message, asyncio.get_running_loop(), channel.send)
            # Tunnels live long and hold no cycles: a collection would only walk them all and show up as lag.
            gc.collect()
            gc.freeze()
            gc.disable()
            channel.send(Ready(health.rss_bytes()))
        elif worker is not None and isinstance(message, Go):
            worker.start(message.start_ns)
        elif worker is not None and isinstance(message, Offer):
            worker.offer(message)
        elif worker is not None and isinstance(message, Drain):
            worker.drain()


if __name__ == "__main__":
    uvloop.run(main())
