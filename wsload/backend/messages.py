"""What the parent and a backend process say to each other (msgpack over :mod:`wsload.children`)."""

import msgspec

from wsload.profile.model import Backend


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages; the class name tells them apart on the wire."""


class Serve(Message, frozen=True):
    """Parent's first message: listen and answer so. Answered by :class:`Listening` or :class:`Failed`."""

    listeners: list[tuple[str, int]]
    """IP and port; port 0 lets the kernel choose."""
    backend: Backend = Backend()
    """The profile's part, as far as it is about connections."""
    push_payload_bytes: int = 64
    process: int = 0
    """Index of the process, for its record."""
    seed: int = 1
    log_path: str | None = None
    """File of :class:`~wsload.record.backend_log.BackendEnd` lines to append to."""


class Ask(Message, frozen=True):
    """Parent wants a :class:`Report`."""


class Stop(Message, frozen=True):
    """Parent wants the process to end, and every connection with it. Answered by a last :class:`Report`."""


class Listening(Message, frozen=True):
    """Ready. The addresses in the order of :attr:`Serve.listeners`, with the real ports."""

    addresses: list[tuple[str, int]]


class Failed(Message, frozen=True):
    """An address cannot be listened on; the process ends."""

    ip: str
    port: int
    error_number: int
    error: str


class Report(Message, frozen=True):
    """What a process did since its start. ``connections`` and ``tunnels`` are levels, the rest totals."""

    cpu_s: float = 0.0
    """User and system time of the process, its start included."""
    rss_bytes: int = 0
    connections: int = 0
    """TCP connections now, whatever they speak."""
    tunnels: int = 0
    """Upgraded and not yet ended by either side."""
    accepted: int = 0
    upgraded: int = 0
    http_requests: int = 0
    """Requests answered with anything but 101."""
    refused: int = 0
    """Of these, answered with 400 to 599."""
    unanswered: int = 0
    """Upgrade requests whose client was gone before any answer."""
    idle_closed: int = 0
    timed_ends: int = 0
    """Tunnels ended as ``ends_after`` was over."""
    push_skipped: int = 0
    """Pushes that fell due while the client did not read."""
    log_lines: int = 0
    """Lines of the record, those lost included."""
    log_lost: int = 0
    log_error: str = ""
    """Why the record was given up (disk full); empty while all is well."""


ToChild = Serve | Ask | Stop
ToParent = Listening | Failed | Report
