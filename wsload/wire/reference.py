"""The reference lane: the Sans-I/O ``ClientProtocol`` of ``websockets`` for all that is not common.

It is right about RFC 6455 and costs several times the fast lane, so a tunnel comes here only with bytes
that the fast lane does not take, and a tunnel whose frames were odd once stays here.
"""

import logging
from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from wsload.wire.frames import Frame

_URI = WebSocketURI(secure=False, host="localhost", port=80, path="/", query="")
# websockets logs each parser failure; ours is data, counted by cause.
_SILENT = logging.getLogger("wsload.wire.reference")
_SILENT.setLevel(logging.CRITICAL + 1)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class HandshakeJudge:
    """Reads one response whole, in any number of pieces."""

    def __init__(self, key: str, subprotocols: Sequence[str]) -> None:
        offered = [Subprotocol(name) for name in subprotocols] or None
        self._protocol = ClientProtocol(_URI, subprotocols=offered, logger=_SILENT)
        self._protocol.key = key

    def receive(self, data: bytes) -> str | None:
        """None: not complete yet. ``""``: accepted. Else why not: the status, or ``invalid``.

        Must not be fed bytes behind an accepted response's head (see :func:`split_head`).
        """
        self._protocol.receive_data(data)
        return self._verdict()

    def end(self) -> str:
        """The peer sent FIN: the final verdict; ``closed`` where nothing readable came."""
        self._protocol.receive_eof()
        verdict = self._verdict()
        return "closed" if verdict is None or verdict == "invalid" else verdict

    def _verdict(self) -> str | None:
        if any(isinstance(event, Response) for event in self._protocol.events_received()) and (
            self._protocol.state is State.OPEN
        ):
            return ""
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            return str(error.response.status_code)
        if isinstance(error, InvalidMessage) and isinstance(error.__cause__, EOFError):
            return "closed"
        return "invalid" if isinstance(error, InvalidHandshake) or error is not None else None


class ReferenceLane:
    """An open tunnel's frames, in any chunking."""

    def __init__(self) -> None:
        self._protocol = ClientProtocol(_URI, state=State.OPEN, max_size=MAX_MESSAGE_BYTES, logger=_SILENT)

    def receive(self, data: bytes) -> tuple[list[Frame], bytes]:
        """The frames in ``data`` and the bytes to answer with (pongs, a close)."""
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_data(data)
        frames: list[Frame] = [
            (int(event.opcode), event.fin, bytes(event.data))  # type: ignore[union-attr]
            for event in self._protocol.events_received()
        ]
        return frames, b"".join(self._protocol.data_to_send())

    def close(self, code: int) -> bytes:
        """Bytes of our close frame; empty if one was sent already."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
        return b"".join(self._protocol.data_to_send())

    @property
    def failure(self) -> Close | None:
        """The close frame we sent because the peer broke the protocol, if it did."""
        return self._protocol.close_sent if self._protocol.parser_exc is not None else None
