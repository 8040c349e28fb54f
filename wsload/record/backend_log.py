"""The embedded backend's own record, one JSON line for each tunnel that ended: its file's line type.

History of :data:`VERSION`:
1  first.
"""

from enum import StrEnum

import msgspec

VERSION = 1


class Kind(StrEnum):
    """What the line is about."""

    TUNNEL = "tunnel"
    REFUSED = "refused"
    """An upgrade request answered with :attr:`BackendEnd.status`."""
    UNANSWERED = "unanswered"
    """An upgrade request whose peer was gone before any answer."""


class EndedBy(StrEnum):
    """Whose act came first, as the backend sees it."""

    BACKEND = "backend"
    PEER = "peer"
    """HAProxy, or without it the client."""


class BackendWire(StrEnum):
    """What the backend did (``ended_by`` backend), or what it saw (``ended_by`` peer)."""

    FIN = "fin"
    """No close frame before it."""
    RST = "rst"
    CLOSE = "close"
    """A close frame; its code is recorded."""
    IDLE_CLOSE = "idle_close"
    """A close frame with 1001, as ``backend.idle_close`` had run out."""
    HALF_OPEN = "half_open"
    """FIN without a close frame, and the backend never closes."""
    LOST = "lost"
    """The kernel gave the connection up: nobody acknowledged what the backend sent."""
    STOP = "stop"
    """It was open, or unanswered, when the backend process ended."""


class BackendEnd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. All times are CLOCK_MONOTONIC, which every process of a host shares.

    ``ip`` and ``port`` are the peer's: HAProxy's ``%bi:%bp``, or the client itself. Empty and 0 where the
    peer was gone before it could be asked.
    """

    v: int
    kind: Kind
    process: int
    """Index of the backend process."""
    ip: str
    port: int
    opened_ns: int
    """When the 101 was sent, to the microsecond; of a request, when it was whole."""
    ended_ns: int
    """When the backend began to end it, or saw its end."""
    ended_by: EndedBy
    wire: BackendWire
    idle_rx_ns: int = 0
    """Since the last byte from the peer, or since ``opened_ns``. The closing handshake's do not count."""
    idle_tx_ns: int = 0
    """Since the last byte to the peer, likewise."""
    close_code: int | None = None
    """Of the close frame that began the end, where there was one with a code."""
    status: int | None = None
    """HTTP status of a refusal."""
    peer_fin_ns: int | None = None
    """When the peer's FIN came, where ``backend.ignore_fin`` let the tunnel outlive it."""
