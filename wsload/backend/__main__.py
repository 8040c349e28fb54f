"""One backend process: ``python -m wsload.backend FD``, started by :mod:`wsload.backend.process`."""

import asyncio
import gc
import resource

import uvloop

from wsload.backend.messages import Ask, Failed, Listening, Serve, ToChild
from wsload.backend.server import Server
from wsload.children import Channel, parent_channel


async def _serve() -> None:
    channel: Channel[ToChild] = await parent_channel(ToChild)
    settings = await channel.receive()
    if not isinstance(settings, Serve):
        return
    server = Server(settings)
    try:
        addresses = await _listen(server, settings, channel)
        if not addresses:
            return
        # A connection's objects form no cycle that outlives it (uvloop drops its protocol when it is lost),
        # so the collector would only walk tens of thousands of idle tunnels for nothing.
        gc.collect()
        gc.freeze()
        gc.disable()
        channel.send(Listening(addresses=addresses))
        # A parent that is gone ends it like Stop does.
        while isinstance(await channel.receive(), Ask):
            channel.send(server.report())
    finally:
        last = server.stop()
    channel.send(last)
    await channel.flush()


async def _listen(server: Server, settings: Serve, channel: Channel[ToChild]) -> list[tuple[str, int]]:
    """Where it listens; none where one address failed, which is told."""
    addresses: list[tuple[str, int]] = []
    for ip, port in settings.listeners:
        try:
            addresses.append(await server.listen(ip, port))
        except OSError as error:
            channel.send(
                Failed(ip=ip, port=port, error_number=error.errno or 0, error=error.strerror or str(error))
            )
            await channel.flush()
            return []
    return addresses


def main() -> None:
    """Serve until the parent says stop or is gone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
