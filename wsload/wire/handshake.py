"""The opening handshake, fast lane: a prebuilt request and a direct check of the common answer.

Source: RFC 6455, sections 4.1 and 4.2.2. What is not the common answer goes to
:mod:`wsload.wire.reference`.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

import msgspec

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_STATUS_101: Final = b"HTTP/1.1 101"
_HEAD_END: Final = b"\r\n\r\n"
MAX_HEAD_BYTES: Final = 16_384
"""A longer response head goes to the reference lane, which refuses it in its own words."""


class Upgrade(msgspec.Struct, frozen=True):
    """A request ready to send and the accept value that its answer must carry."""

    key: str
    accept: bytes
    request: bytes


class Answer(Enum):
    """What a look at the response's first bytes says."""

    ACCEPTED = auto()
    INCOMPLETE = auto()
    ODD = auto()
    """Not the common case: a refusal, a subprotocol, an extension, anything unusual."""


def accept_value(key: str) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest())


def build_upgrade(
    host: str, path: str, nonce: bytes, headers: Mapping[str, str], subprotocols: Sequence[str]
) -> Upgrade:
    """The request for one 16-byte nonce. ``headers`` come last, as given; a Host among them wins."""
    key = base64.b64encode(nonce).decode("ascii")
    host = next((value for name, value in headers.items() if name.lower() == "host"), host)
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocols:
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return Upgrade(key, accept_value(key), request)


def check_answer(data: bytes, accept: bytes) -> tuple[Answer, int]:
    """Judge the response so far; with ACCEPTED comes the offset where frames begin.

    Accepts only what the reference lane would accept too: status 101, ``Upgrade: websocket``,
    ``Connection: Upgrade``, the right accept value, no extension and no subprotocol, each header once.
    """
    end = data.find(_HEAD_END)
    if end < 0:
        odd = len(data) > MAX_HEAD_BYTES or not _STATUS_101.startswith(data[: len(_STATUS_101)])
        return (Answer.ODD if odd else Answer.INCOMPLETE), 0
    head = data[: end + 2]
    lower = head.lower()
    accept_at = lower.find(b"\r\nsec-websocket-accept: ")
    common = (
        head.startswith(_STATUS_101)
        and b"\r\nupgrade: websocket\r\n" in lower
        and b"\r\nconnection: upgrade\r\n" in lower
        and accept_at >= 0
        and head[accept_at + 24 : head.find(b"\r\n", accept_at + 24)] == accept
        # Accept once and no other Sec-WebSocket header; one Upgrade and one Connection header.
        and lower.count(b"\r\nsec-websocket-") == 1
        and lower.count(b"\r\nupgrade:") == 1
        and lower.count(b"\r\nconnection:") == 1
    )
    return (Answer.ACCEPTED, end + 4) if common else (Answer.ODD, 0)
