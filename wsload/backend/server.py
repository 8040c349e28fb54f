"""One backend process: its listeners, what becomes of their connections, its counters and its record."""

import asyncio
import gc
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from wsload.backend import handshake
from wsload.backend.behaviour import PEER_RESET, STOPPED, Draws, End, Ending, Fate, push_frame, timed_end
from wsload.backend.connection import HttpConnection, Lingering, Waiting
from wsload.backend.end_log import EndLog
from wsload.backend.handshake import Answer
from wsload.backend.hangup import HangupWatch
from wsload.backend.messages import Report, Serve
from wsload.backend.timers import Timers
from wsload.backend.tunnel import EchoTunnel, Tunnel
from wsload.profile.model import Reply
from wsload.record.backend_log import VERSION, BackendEnd, BackendWire, EndedBy, Kind
from wsload.units import NS_PER_MS, NS_PER_S

LINGER_NS = 5 * NS_PER_S
"""How long a connection that we ended waits for the client's FIN (nginx's lingering_timeout)."""

_BACKLOG = 65535  # the kernel cuts it to net.core.somaxconn
_AGE_GRAIN_NS = _IDLE_GRAIN_NS = 10 * NS_PER_MS
_PUSH_GRAIN_NS = _DELAY_GRAIN_NS = 2 * NS_PER_MS
_LINGER_GRAIN_NS = 100 * NS_PER_MS
_LINGER_0 = struct.pack("ii", 1, 0)
_REFUSED = "refused, as backend.refuse wants"


class _HalfClosed(NamedTuple):
    """A tunnel that outlives its peer's FIN."""

    fd: int
    fin_ns: int


class Server:
    """Use it from within its running loop, and :meth:`stop` it."""

    def __init__(self, settings: Serve) -> None:
        self.backend = backend = settings.backend
        self._process = settings.process
        self.connections = self.tunnels = self.accepted = self.upgraded = 0
        self.http_requests = self.refused = self.unanswered_requests = 0
        self.idle_closed = self.timed_ends = self.push_skipped = 0
        self.push_frame = push_frame(settings.push_payload_bytes)
        self.push_period_ns = max(1, round(NS_PER_S / backend.push_rate_per_s))
        self.timed_end = timed_end(backend)
        self._draws = Draws(f"{settings.seed}.{settings.process}", backend)
        self._tunnel_class = EchoTunnel if backend.reply is Reply.ECHO else Tunnel
        timers = Timers()
        self.pushing = timers.alarm(_PUSH_GRAIN_NS, Tunnel.push)
        self._watched = timers.alarm(_IDLE_GRAIN_NS, Tunnel.close_if_idle)
        self.ageing = timers.alarm(_AGE_GRAIN_NS, Tunnel.end_for_age)
        self.waiting = timers.alarm(_DELAY_GRAIN_NS, Waiting.answer)
        self._lingering = timers.alarm(_LINGER_GRAIN_NS, _abort)
        self._half_closed: dict[Tunnel, _HalfClosed] = {}
        self._hangups: HangupWatch[Tunnel] | None = None
        if backend.ignore_fin:
            self._hangups = HangupWatch(lambda tunnel: tunnel.end(PEER_RESET))
        self._log = EndLog(settings.log_path) if settings.log_path is not None else None

    async def listen(self, ip: str, port: int) -> tuple[str, int]:
        """Listen on an address; returns it with its real port. Raises OSError."""
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        try:
            # The server closes first, so its ports are left in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((ip, port))
            loop = asyncio.get_running_loop()
            await loop.create_server(lambda: HttpConnection(self), sock=sock, backlog=_BACKLOG)
        except OSError:
            sock.close()
            raise
        return ip, sock.getsockname()[1]

    def report(self) -> Report:
        """The counters so far."""
        log = self._log
        return Report(
            cpu_s=time.process_time(),
            rss_bytes=_rss_bytes(),
            connections=self.connections,
            tunnels=self.tunnels,
            accepted=self.accepted,
            upgraded=self.upgraded,
            http_requests=self.http_requests,
            refused=self.refused,
            unanswered=self.unanswered_requests,
            idle_closed=self.idle_closed,
            timed_ends=self.timed_ends,
            push_skipped=self.push_skipped,
            log_lines=log.lines if log is not None else 0,
            log_lost=log.lost if log is not None else 0,
            log_error=log.error if log is not None else "",
        )

    def stop(self) -> Report:
        """Record what is still open, close the record, and report for the last time."""
        if self._log is None:
            return self.report()
        # A set of all tunnels would cost each of them some 50 bytes throughout, for this one moment.
        for item in gc.get_objects():
            if not isinstance(item, Tunnel | Waiting) or item.server is not self:
                continue
            if item.transport.get_protocol() is not item:  # ended just now
                continue
            if isinstance(item, Tunnel):
                self._record_tunnel(item, STOPPED)
            else:
                self._record_request(item.peer, Kind.UNANSWERED, item.asked_ns, STOPPED)
        self._log.close()
        report, self._log = self.report(), None
        return report

    def upgrade(self, transport: asyncio.Transport, response: bytes, first_bytes: bytes) -> None:
        """A proper upgrade request, with its 101; ``first_bytes`` came behind it."""
        fate = self._draws.fate()
        delay_ns = self.backend.upgrade_delay_ns
        if fate is Fate.REFUSED:
            self.refuse(transport, handshake.refusal(self.backend.refuse_status, _REFUSED))
        elif fate is Fate.UNANSWERED or delay_ns:
            waiting = Waiting(self, transport, self._peer(transport), response, first_bytes)
            transport.set_protocol(waiting)
            if fate is Fate.UPGRADED:
                self.waiting.add(waiting.asked_ns + delay_ns, waiting)
        else:
            self.open_tunnel(transport, response, first_bytes)

    def open_tunnel(self, transport: asyncio.Transport, response: bytes, first_bytes: bytes) -> None:
        """Send the 101."""
        transport.write(response)
        tunnel = self._tunnel_class(self, transport, *self._peer(transport))
        self.tunnels += 1
        self.upgraded += 1
        backend = self.backend
        if backend.idle_close_ns:
            tunnel.look_ns = 0
            if self._draws.closes_idle():
                self.watch(tunnel, tunnel.heard_ns + backend.idle_close_ns)
        if backend.ends_after_ns and self._draws.ends():
            self.ageing.add(tunnel.opened_ns + backend.ends_after_ns, tunnel)
        if backend.reply is Reply.PUSH:
            tunnel.push_due_ns = tunnel.opened_ns + self.push_period_ns
            self.pushing.add(tunnel.push_due_ns, tunnel)
        transport.set_protocol(tunnel)
        if first_bytes:
            tunnel.data_received(first_bytes)

    def watch(self, tunnel: Tunnel, look_ns: int) -> None:
        """See then whether the tunnel is idle."""
        tunnel.look_ns = look_ns
        self._watched.add(look_ns, tunnel)

    def keeps_half_closed(self, tunnel: Tunnel) -> bool:
        """Whether it stays open though the peer's FIN has come."""
        if self._hangups is None:
            return False
        if tunnel not in self._half_closed:
            fd = tunnel.transport.get_extra_info("socket").fileno()
            self._half_closed[tunnel] = _HalfClosed(fd, time.monotonic_ns())
            self._hangups.add(fd, tunnel)
        return True

    def forget(self, tunnel: Tunnel, end: End) -> None:
        """The tunnel has ended. Timers that run for hours must not keep what closed long ago."""
        self.tunnels -= 1
        backend = self.backend
        if backend.idle_close_ns:
            self._watched.remove(tunnel.look_ns, tunnel)
        if backend.ends_after_ns:
            self.ageing.remove(tunnel.opened_ns + backend.ends_after_ns, tunnel)
        if backend.reply is Reply.PUSH:
            self.pushing.remove(tunnel.push_due_ns, tunnel)
        self._record_tunnel(tunnel, end)
        half_closed = self._half_closed.pop(tunnel, None)
        if half_closed is not None and self._hangups is not None:
            self._hangups.remove(half_closed.fd)

    def refuse(self, transport: asyncio.Transport, answer: Answer) -> None:
        """Answer a request with an error, and close."""
        self.http_requests += 1
        self.refused += 1
        end = End(Ending.STARTED, EndedBy.BACKEND, BackendWire.FIN)
        self._record_request(self._peer(transport), Kind.REFUSED, time.monotonic_ns(), end, answer.status)
        transport.write(answer.response)
        self.linger(transport)

    def unanswered(self, waiting: Waiting, end: End) -> None:
        """Its client waits no longer."""
        self.unanswered_requests += 1
        self.waiting.remove(waiting.asked_ns + self.backend.upgrade_delay_ns, waiting)
        self._record_request(waiting.peer, Kind.UNANSWERED, waiting.asked_ns, end)

    def end_connection(self, transport: asyncio.Transport, ending: Ending) -> None:
        """In that way, behind what is written."""
        _END[ending](self, transport)

    def close(self, transport: asyncio.Transport) -> None:
        """Close behind what is written, which a client that does not read may hold up for a while only."""
        transport.set_protocol(Lingering(self, transport))
        transport.close()
        if transport.get_write_buffer_size():
            self.abort_later(transport)

    def linger(self, transport: asyncio.Transport) -> None:
        """Send FIN behind what is written, and wait a while for the client's."""
        self.half_close(transport)
        self.abort_later(transport)

    def half_close(self, transport: asyncio.Transport) -> None:
        """Send FIN behind what is written, and wait for the client's."""
        transport.set_protocol(Lingering(self, transport))
        transport.write_eof()
        transport.resume_reading()

    def reset(self, transport: asyncio.Transport) -> None:
        """Send RST now; what is not sent yet never is."""
        transport.set_protocol(Lingering(self, transport))
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()

    def abort_later(self, transport: asyncio.Transport) -> None:
        """Cut the connection if it is still there after :data:`LINGER_NS`."""
        self._lingering.add(time.monotonic_ns() + LINGER_NS, transport)

    def _peer(self, transport: asyncio.Transport) -> tuple[str, int]:
        """Address and port, for the record only; empty and 0 where the connection is gone already."""
        if self._log is None:
            return "", 0
        ip, port, *_ = transport.get_extra_info("peername") or ("", 0)
        return sys.intern(ip), port  # HAProxy has few addresses

    def _record_tunnel(self, tunnel: Tunnel, end: End) -> None:
        if self._log is None:
            return
        now_ns = time.monotonic_ns()
        half_closed = self._half_closed.get(tunnel)
        self._log.add(
            BackendEnd(
                v=VERSION,
                kind=Kind.TUNNEL,
                process=self._process,
                ip=tunnel.peer_ip,
                port=tunnel.peer_port,
                opened_ns=tunnel.opened_ns,
                ended_ns=now_ns,
                ended_by=end.ended_by,
                wire=end.wire,
                idle_rx_ns=now_ns - tunnel.heard_ns,
                idle_tx_ns=now_ns - tunnel.sent_ns,
                close_code=end.close_code,
                peer_fin_ns=half_closed.fin_ns if half_closed is not None else None,
            )
        )

    def _record_request(
        self, peer: tuple[str, int], kind: Kind, asked_ns: int, end: End, status: int | None = None
    ) -> None:
        if self._log is None:
            return
        ip, port = peer
        self._log.add(
            BackendEnd(
                v=VERSION,
                kind=kind,
                process=self._process,
                ip=ip,
                port=port,
                opened_ns=asked_ns,
                ended_ns=time.monotonic_ns(),
                ended_by=end.ended_by,
                wire=end.wire,
                status=status,
            )
        )


def _abort(transport: asyncio.Transport, _now_ns: int) -> None:
    transport.abort()


def _rss_bytes() -> int:
    """Resident memory now, which getrusage(2) does not tell (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


_END: dict[Ending, Callable[[Server, asyncio.Transport], None]] = {
    Ending.ANSWERED: Server.close,
    Ending.STARTED: Server.linger,
    Ending.HALF_OPEN: Server.half_close,
    Ending.RESET: Server.reset,
}
