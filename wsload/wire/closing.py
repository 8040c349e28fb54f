"""The closing handshake's frames. Source: RFC 6455, sections 5.5.1 and 7.4."""

from typing import Final

NO_STATUS: Final = 1005
"""Stands for a close frame without a code."""
NORMAL: Final = 1000

_SENDABLE: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


def is_plain_close(payload: bytes) -> bool:
    """Whether a close frame's payload is one that may be answered in kind: empty, or a code that may
    appear on the wire and a reason in UTF-8."""
    if not payload:
        return True
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _SENDABLE or 3000 <= code < 5000):
        return False
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a payload that :func:`is_plain_close` accepted."""
    if not payload:
        return NO_STATUS, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8")


def close_payload(code: int, reason: str = "") -> bytes:
    """Payload of a close frame."""
    return code.to_bytes(2, "big") + reason.encode("utf-8")
