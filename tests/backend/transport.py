"""A transport for tunnels that are tested without a socket."""

import asyncio


class RecordingTransport(asyncio.Transport):
    """Keeps what is written and whether it was ended; stands for a client that reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False
        self.unsent_bytes = 0
        """What the kernel has not taken, as far as the tunnel can tell."""
        self.protocol: asyncio.BaseProtocol | None = None
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol | None:  # type: ignore[override]  # as uvloop's
        return self.protocol

    def lose(self, error: Exception | None) -> None:
        """The connection is gone, and with it the protocol, as uvloop has it."""
        protocol, self.protocol = self.protocol, None
        assert protocol is not None
        protocol.connection_lost(error)

    def receive(self, data: bytes) -> None:
        """The client's bytes reach whatever protocol it has now."""
        assert isinstance(self.protocol, asyncio.Protocol)
        self.protocol.data_received(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 54321) if name == "peername" else default

    def close(self) -> None:
        self.ended = True

    def write_eof(self) -> None:
        self.ended = True
