"""The system under test of one run: the backend and HAProxy that the profile asks for."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil

from wsload.backend.process import EmbeddedBackend
from wsload.errors import ProfileError
from wsload.haproxy import stats
from wsload.haproxy.config import Route, effective_timers_ms
from wsload.haproxy.log import LogReceiver
from wsload.haproxy.process import HaproxyFleet
from wsload.plan.model import Endpoint, Plan
from wsload.profile.model import BackendMode, Profile, Via
from wsload.record import layout
from wsload.record.layout import ProcessLine
from wsload.run.folder import FolderWriter, recording_error
from wsload.run.shared import SharedHaproxy
from wsload.units import NS_PER_MS

_LAST_ENDS_S = 1.0
"""How long a shared HAProxy gets for the ends of a run's tunnels, as long as one of its own would."""
_POLL_S = 0.02


class Death(msgspec.Struct, frozen=True):
    """A process of the system that ended though nobody asked."""

    role: str
    index: int
    pid: int
    code: int


class System:
    """Made by :meth:`start`; :meth:`stop` has to follow, whatever happens in between."""

    def __init__(self, profile: Profile, folder: FolderWriter, shared: SharedHaproxy | None) -> None:
        self._profile, self._folder, self._shared = profile, folder, shared
        self._backend: EmbeddedBackend | None = None
        self._fleet: HaproxyFleet | None = None
        self._route = 0
        """Ours in each of the fleet's processes."""
        self._log: LogReceiver | None = None
        self._reported: set[int] = set()
        self.endpoints: list[Endpoint] = []

    @classmethod
    async def start(cls, plan: Plan, folder: FolderWriter, shared: SharedHaproxy | None = None) -> "System":
        """Start what the profile manages; ``shared`` takes the place of a HAProxy of its own.

        Raises BackendError, HaproxyError; nothing is left running then but what is shared.
        """
        system = cls(plan.profile, folder, shared)
        try:
            await system._start(plan)
        except BaseException:
            await system.stop()
            raise
        return system

    @property
    def haproxy_version(self) -> str:
        """Of the managed one; empty without."""
        return "" if self._fleet is None else self._fleet.version

    @property
    def timers_ms(self) -> dict[str, int]:
        """The timers in force, as far as they are known."""
        profile = self._profile
        timers = effective_timers_ms(profile.haproxy) if self._fleet is not None else {}
        backend = profile.backend
        own_ns = dict(zip(layout.OWN_TIMERS, (backend.idle_close_ns, backend.ends_after_ns), strict=True))
        if self._backend is not None:
            timers |= {name: ns // NS_PER_MS for name, ns in own_ns.items() if ns}
        return timers

    @property
    def cohort_timers_ms(self) -> dict[str, dict[str, int]]:
        """Cohort -> the timers that it asks HAProxy for."""
        return {
            cohort.name: {"tunnel": cohort.tunnel_timeout_ns // NS_PER_MS}
            for cohort in self._profile.cohorts
            if cohort.tunnel_timeout_ns is not None and self._fleet is not None
        }

    @property
    def sharers(self) -> int:
        """How many runs use the same HAProxy process; 0 without HAProxy."""
        return 0 if self._fleet is None else len(self._fleet.routes)

    @property
    def maxconn(self) -> int:
        """Slots of all HAProxy processes; 0 without."""
        haproxy = self._profile.haproxy
        if self._fleet is None:
            return 0
        return haproxy.maxconn * haproxy.processes or self._fleet.maxconn

    @property
    def log_lines(self) -> dict[str, int]:
        """How whole HAProxy's log is: lines received, and lost in our own receive buffer."""
        return {} if self._log is None else {"lines": self._log.lines, "lost": self.lost_logs}

    @property
    def lost_logs(self) -> int:
        """Lines of HAProxy's log that our receive buffer has had no room for so far."""
        return 0 if self._log is None else self._log.dropped

    @property
    def backend_records_lost(self) -> int:
        """Records that the backend could not write; known once it has stopped."""
        return sum(report.log_lost for report in self._backend.last_reports) if self._backend else 0

    async def sample(self, t_s: float) -> list[dict[str, Any]]:
        """HAProxy's figures now, written to the folder too."""
        if self._fleet is None:
            return []
        rows = await stats.sample(self._fleet, t_s, self._route)
        self._folder.append_rows(layout.HAPROXY_STATS, layout.HAPROXY_STATS_COLUMNS, rows)
        if self._log is not None and self._log.error is not None:
            raise recording_error(self._folder.path / layout.HAPROXY_LOG, self._log.error)
        return rows

    def backend_processes(self) -> list[ProcessLine]:
        """CPU and memory of the embedded backend's processes."""
        lines = []
        for index, pid in enumerate(self._backend.pids if self._backend is not None else []):
            try:
                process = psutil.Process(pid)
                times = process.cpu_times()
                rss_bytes = process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            lines.append(ProcessLine("backend", index, times.user + times.system, rss_bytes))
        return lines

    def new_deaths(self) -> list[Death]:
        """Processes found dead since the last call."""
        found = [Death("haproxy", *entry) for entry in (self._fleet.dead() if self._fleet else [])]
        found += [Death("backend", *entry) for entry in (self._backend.dead() if self._backend else [])]
        fresh = [death for death in found if death.pid not in self._reported]
        self._reported.update(death.pid for death in fresh)
        return fresh

    async def stop(self) -> None:
        """End everything, even where ending one part fails; may be called again."""
        async with contextlib.AsyncExitStack() as stack:  # the last in is the first to end
            if self._log is not None:
                # In a thread: it waits for the last lines, and other runs may be on this loop.
                stack.push_async_callback(asyncio.to_thread, self._log.stop)
            if self._backend is not None:
                stack.push_async_callback(self._backend.stop)
            if self._fleet is not None:
                leave = self._fleet.stop if self._shared is None else self._last_ends
                stack.push_async_callback(leave)

    async def _start(self, plan: Plan) -> None:
        profile = plan.profile
        via = profile.target.via
        if via is Via.URL:
            self.endpoints = [_endpoint_of(url) for url in profile.target.urls]
            return
        servers = list(profile.backend.servers)
        if via is Via.DIRECT or profile.backend.mode is BackendMode.EMBEDDED:
            self._backend = await EmbeddedBackend.start(
                profile.backend,
                plan.backend_listeners,
                push_payload_bytes=profile.backend.push_payload_bytes,
                log_path=self._folder.path / layout.BACKEND_LOG,
                seed=profile.load.seed,
                cores=plan.placement.backend,
            )
            servers = self._backend.addresses
        if via is Via.DIRECT:
            self.endpoints = [_managed(address, profile.target.path) for address in servers]
            return
        self._log = LogReceiver()
        self._log.start(self._folder.path / layout.HAPROXY_LOG)
        await self._start_haproxy(servers, self._log.address, plan.placement.haproxy)

    async def _start_haproxy(self, servers: Sequence[str], log_address: str, cores: Sequence[int]) -> None:
        """One of our own, or our route in the shared one."""
        profile, path = self._profile, self._folder.path
        takes_timeouts = any(cohort.tunnel_timeout_ns is not None for cohort in profile.cohorts)
        if self._shared is None:
            self._fleet = await HaproxyFleet.start(
                profile.haproxy, servers, path, profile.target.path, log_address, takes_timeouts, cores
            )
        else:
            route = Route(
                haproxy=profile.haproxy,
                servers=tuple(servers),
                path=profile.target.path,
                log_address=log_address,
                takes_timeouts=takes_timeouts,
                label=path.name,
            )
            self._fleet, self._route = await self._shared.enter(path.name, route, path)
            self._folder.write(layout.HAPROXY_CFG, self._fleet.cfg_text)
        found = self._fleet.endpoints_of(self._route)
        self.endpoints = [_managed(f"{ip}:{port}", profile.target.path) for ip, port in found]

    async def _last_ends(self) -> None:
        """The tunnels that we closed have to end in HAProxy too before the backend goes, or it would seem
        to have ended them."""
        assert self._fleet is not None
        deadline_s = asyncio.get_running_loop().time() + _LAST_ENDS_S
        while not self._fleet.dead() and asyncio.get_running_loop().time() < deadline_s:
            rows = await stats.sample(self._fleet, 0.0, self._route)
            if not any(row["slots"] for row in rows):
                return
            await asyncio.sleep(_POLL_S)


def _managed(address: str, path: str) -> Endpoint:
    ip, _, port = address.rpartition(":")
    return Endpoint(ip, int(port), address, path)


def _endpoint_of(url: str) -> Endpoint:
    """Resolve a ``ws://`` url once, so that no tunnel waits for a name server."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ProfileError(
            "target.url",
            url,
            f"the host name does not resolve: {error.strerror}",
            "check the name, or use an IP",
        ) from error
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(str(found[0][4][0]), port, parts.netloc.rpartition("@")[2], path)
