"""What the backend answers to an HTTP/1.x request: an upgrade, an ordinary page, or a refusal. Pure."""

import binascii
import hashlib
from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

MAX_HEAD_BYTES = 16 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_BODY = b"wsload backend\n"
_END = b"\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class After(Enum):
    """What the connection is once the answer is written."""

    TUNNEL = "tunnel"
    KEEP = "keep"
    CLOSE = "close"
    REFUSED = "refused"
    """As CLOSE, and there was no page that was asked for."""


class Answer(NamedTuple):
    """Bytes to write, and what follows."""

    response: bytes
    after: After
    status: int


class BadRequestError(ValueError):
    """No HTTP request that could be answered otherwise."""


class Request(NamedTuple):
    """A request head. ``headers`` has lower-case names; values of a repeated name are joined by commas."""

    method: bytes
    version: bytes
    headers: dict[bytes, bytes]
    size: int
    """Bytes the head took, its empty line included."""


def parse_request(data: bytes) -> Request | None:
    """The head that ``data`` begins with, or None if it is not all there yet. Raises BadRequestError."""
    end = data.find(_END)
    if end > MAX_HEAD_BYTES or (end < 0 and len(data) > MAX_HEAD_BYTES):
        raise BadRequestError(f"request head over {MAX_HEAD_BYTES} bytes")
    if end < 0:
        return None
    line, *fields = data[:end].split(b"\r\n")
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not parts[0].isalpha():
        raise BadRequestError("not an HTTP/1.x request line")
    headers: dict[bytes, bytes] = {}
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadRequestError("malformed header")
        name, value = name.lower(), value.strip()
        headers[name] = headers[name] + b", " + value if name in headers else value
    return Request(parts[0], parts[2], headers, end + len(_END))


def answer(request: Request) -> Answer:
    """The answer to a request: 101 where a WebSocket is asked for properly, else 200, 400 or 426."""
    headers = request.headers
    if b"websocket" not in _tokens(headers.get(b"upgrade", b"")):
        return _page(request)
    if request.method != b"GET" or request.version != b"HTTP/1.1":
        return refusal(400, "an upgrade needs GET and HTTP/1.1")
    if b"upgrade" not in _tokens(headers.get(b"connection", b"")):
        return refusal(400, "Connection: Upgrade is missing")
    if headers.get(b"sec-websocket-version") != b"13":
        return refusal(426, "only version 13", ("Sec-WebSocket-Version: 13",))
    key = headers.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        return refusal(400, "Sec-WebSocket-Key is missing or not 16 bytes in base64")
    accept = binascii.b2a_base64(hashlib.sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)
    response = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n" % accept
    )
    if offered := headers.get(b"sec-websocket-protocol"):
        response += b"Sec-WebSocket-Protocol: %b\r\n" % offered.partition(b",")[0].strip()
    return Answer(response + b"\r\n", After.TUNNEL, 101)


def refusal(status: int, reason: str, headers: tuple[str, ...] = ()) -> Answer:
    """A final answer with the reason as its body."""
    body = f"{reason}\n"
    line = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Refused')}"
    lines = (line, *headers, "Content-Type: text/plain", f"Content-Length: {len(body)}")
    response = "\r\n".join((*lines, "Connection: close", "", body)).encode()
    return Answer(response, After.REFUSED, status)


def _page(request: Request) -> Answer:
    """200 with a line of text. A request with a body is answered without reading it, so it is the last."""
    headers = request.headers
    wishes = _tokens(headers.get(b"connection", b""))
    keep = b"keep-alive" in wishes if request.version == b"HTTP/1.0" else b"close" not in wishes
    if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
        keep = False
    response = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n"
        % (
            len(_BODY),
            b"keep-alive" if keep else b"close",
        )
    )
    body = b"" if request.method == b"HEAD" else _BODY
    return Answer(response + body, After.KEEP if keep else After.CLOSE, 200)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip() for token in value.lower().split(b",")]


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == _KEY_BYTES
    except binascii.Error:
        return False
