"""HAProxy as our child: found, its configuration checked, started, watched, and always stopped."""

import asyncio
import contextlib
import ipaddress
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wsload import children
from wsload.errors import FolderError, HaproxyConfigError, HaproxyError
from wsload.haproxy.config import Route, render
from wsload.haproxy.stats import StatsClient, parse_version
from wsload.profile.model import Haproxy
from wsload.record.layout import HAPROXY_CFG

ADMIN_PATH = "/usr/local/sbin:/usr/sbin"
"""Where packages put HAProxy, and what a user's PATH on Debian leaves out."""

_LISTEN_IP = "127.0.0.1"
_RUN_TIMEOUT_S = 20.0
_START_TIMEOUT_S = 15.0
_POLL_S = 0.01
_PORT_ATTEMPTS = 5
_PORT_TAKEN = "Address already in use"
_STOPPING = ((signal.SIGUSR1, 1.0), (signal.SIGTERM, 1.0))
"""Each signal and how long it may take. SIGUSR1 lets what is open end, and be logged; SIGTERM does not."""

_REMEDIES = (
    (_PORT_TAKEN, "free it, choose another, or type --set haproxy.port=auto"),
    ("Permission denied", "choose a port above 1023, or type --set haproxy.port=auto"),
    ("llocate memory", "give it more: haproxy.memory"),
    ("out of memory", "give it more: haproxy.memory"),
    ("FD limit", "raise the limit (ulimit -n), or lower haproxy.maxconn or set haproxy.processes higher"),
)


def find_binary(name: str) -> str:
    """The path of ``haproxy.binary``, a name on PATH or a path. Raises HaproxyError with what to install."""
    path = shutil.which(name) or shutil.which(name, path=ADMIN_PATH)
    if path is None:
        raise HaproxyError(
            f'haproxy.binary: no program "{name}" found; type "sudo apt-get install haproxy", '
            "or go without it: --set target.via=direct"
        )
    return path


def version(binary: str) -> str:
    """``2.6.12``, as ``haproxy -v`` says. Raises HaproxyError if this is no HAProxy."""
    done = ask(binary, "-v")
    words = done.stdout + done.stderr
    found = parse_version(words) if "HAProxy" in words or "HA-Proxy" in words else ""
    if done.returncode != 0 or not found:
        raise HaproxyError(
            f'haproxy.binary: "{binary} -v" does not answer as HAProxy does; name another program'
        )
    return found


def check_config(binary: str, cfg_path: Path) -> None:
    """``haproxy -c -V -f``. Raises HaproxyError with HAProxy's own words if it rejects the file."""
    done = ask(binary, "-c", "-V", "-f", str(cfg_path))
    if done.returncode != 0:
        raise HaproxyConfigError(f"{cfg_path}: HAProxy rejects it: {alerts(done.stdout + done.stderr)}")


def ask(binary: str, *arguments: str, setting: str = "haproxy.binary") -> subprocess.CompletedProcess[str]:
    """Run HAProxy to its end: its exit status, and what it wrote, undecodable bytes replaced.

    Raises HaproxyError, which names the ``setting`` that chose the program, if it cannot be run or takes too
    long.
    """
    try:
        return subprocess.run(
            [binary, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_RUN_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HaproxyError(f"{setting}: {binary} cannot be run: {error}; name another program") from error


def alerts(words: str) -> str:
    """HAProxy's [ALERT] lines, without their prefixes, joined to one; if it has none, its last three."""
    lines = words.strip().splitlines()
    found = [line.partition(" : ")[2].strip() for line in lines if line.startswith("[ALERT]")]
    return "; ".join(found or lines[-3:]) or "it says nothing"


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now; all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind((_LISTEN_IP, 0))
        return [sock.getsockname()[1] for sock in sockets]


class HaproxyProcess:
    """One running HAProxy: ``index`` in its fleet, its routes' ``ports``, and its stats client."""

    def __init__(self, index: int, ports: Sequence[int], stats_name: str, process: children.Process) -> None:
        self.index, self.ports, self.stats = index, tuple(ports), StatsClient(stats_name)
        self.maxconn = 0
        """Its slots, known once it answers."""
        self._process = process
        self._words: str | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.returncode()

    def stderr_text(self) -> str:
        """All it said, also after its end."""
        return self._process.stderr_text() if self._words is None else self._words

    def signal(self, signal_number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.signal(signal_number)

    async def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""
        return await self._process.wait(timeout_s)

    async def answers(self) -> bool:
        """Wait until its stats socket answers. False if it ended instead, or stays silent for too long."""
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        while self.returncode() is None and asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(OSError):
                if info := await self.stats.info():
                    self.maxconn = int(info.get("Maxconn", "0"))
                    return True
            await asyncio.sleep(_POLL_S)
        return False

    def close(self) -> None:
        """End it now if it still runs, reap it, and keep what it said."""
        if self._words is None:
            self._process.kill()
            self._words = self._process.stderr_text()
            self._process.close()


class HaproxyFleet:
    """All HAProxy processes of a run, or the one that several runs share, each on a route of its own.

    Made by :meth:`start`; :meth:`stop` has to follow.
    """

    def __init__(
        self, haproxy: Haproxy, routes: Sequence[Route], folder: Path, cores: Sequence[int] = ()
    ) -> None:
        self.processes: list[HaproxyProcess] = []
        self.version = ""
        """HAProxy's, ``2.6.12``."""
        self.routes = tuple(routes)
        self.cfg_text = ""
        """The first process's configuration."""
        self._binary = ""
        self._haproxy, self._folder, self._cores = haproxy, folder, tuple(cores)
        self._dead_unasked: list[tuple[int, int, int]] | None = None

    @classmethod
    async def start(
        cls,
        haproxy: Haproxy,
        backend_servers: Sequence[str],
        folder: Path,
        path: str,
        log_address: str | None = None,
        takes_timeouts: bool = False,
        cores: Sequence[int] = (),
    ) -> "HaproxyFleet":
        """Start ``haproxy.processes`` of them for one run and return when all their stats sockets answer.

        Each has a port of its own (``port``, ``port`` + 1, ...; or free ones) and, where there are several,
        its own source address toward servers on loopback (127.0.1.1, ...). Configurations are written to
        ``folder``: ``haproxy.cfg``, then ``haproxy-2.cfg`` and so on. All processes are kept to ``cores``, if
        any. What is left is as in :class:`Route`.
        Raises HaproxyError, or FolderError if the files cannot be written; nothing is left running then.
        """
        route = Route(
            haproxy=haproxy,
            servers=tuple(backend_servers),
            path=path,
            log_address=log_address,
            takes_timeouts=takes_timeouts,
        )
        return await cls.start_routes(haproxy, [route], folder, cores)

    @classmethod
    async def start_routes(
        cls, haproxy: Haproxy, routes: Sequence[Route], folder: Path, cores: Sequence[int] = ()
    ) -> "HaproxyFleet":
        """As :meth:`start`, each process with a port for each route; what is no route's is ``haproxy``'s."""
        fleet = cls(haproxy, routes, folder, cores)
        fleet._binary = find_binary(haproxy.binary)
        fleet.version = version(fleet._binary)
        try:
            for index, ports in enumerate(fleet._ports()):
                fleet.processes.append(fleet._launch(index, ports))
            for index in range(haproxy.processes):
                await fleet._make_ready(index)
        except BaseException:
            await fleet.stop()
            raise
        return fleet

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """Where each listens for its first route, in their order."""
        return self.endpoints_of(0)

    def endpoints_of(self, route: int) -> list[tuple[str, int]]:
        """Where each process listens for a route, in their order."""
        return [(_LISTEN_IP, process.ports[route]) for process in self.processes]

    @property
    def pids(self) -> list[int]:
        """Process ids, in their order; those that ended are still named."""
        return [process.pid for process in self.processes]

    @property
    def maxconn(self) -> int:
        """Slots of all of them together."""
        return sum(process.maxconn for process in self.processes)

    def dead(self) -> list[tuple[int, int, int]]:
        """Index, pid and return code (negative: the signal) of those that ended though nobody asked."""
        if self._dead_unasked is not None:
            return self._dead_unasked
        ended = ((process.index, process.pid, process.returncode()) for process in self.processes)
        return [(index, pid, code) for index, pid, code in ended if code is not None]

    def stderr_text(self) -> str:
        """All that they said, one after the other; also after :meth:`stop`."""
        return "".join(process.stderr_text() for process in self.processes)

    async def stop(self) -> None:
        """End all and reap them: politely, then by force, within about two seconds. May be called again."""
        if self._dead_unasked is None:
            self._dead_unasked = self.dead()
        try:
            for signal_number, patience_s in _STOPPING:
                running = [process for process in self.processes if process.returncode() is None]
                for process in running:
                    process.signal(signal_number)
                await asyncio.gather(*(process.wait(patience_s) for process in running))
        finally:
            for process in self.processes:
                process.close()

    def _ports(self) -> list[list[int]]:
        """For each process, a port for each route."""
        each = len(self.routes)
        count = self._haproxy.processes * each
        first = self._haproxy.port
        ports = free_ports(count) if first is None else list(range(first, first + count))
        return [ports[at : at + each] for at in range(0, count, each)]

    def _launch(self, index: int, ports: Sequence[int]) -> HaproxyProcess:
        stats_name = f"wsload-{os.getpid()}-{secrets.token_hex(4)}-stats"
        text = render(
            self.routes,
            index=index,
            ports=ports,
            source_ip=f"127.0.1.{index + 1}" if self._has_own_sources() else None,
            stats_name=stats_name,
            version=self.version,
        )
        self.cfg_text = text if index == 0 else self.cfg_text
        cfg_path = self._folder / (HAPROXY_CFG if index == 0 else f"haproxy-{index + 1}.cfg")
        try:
            cfg_path.write_text(text)
        except OSError as error:
            raise FolderError(f"{cfg_path}: cannot be written: {error.strerror}") from error
        if index == 0:  # the others differ in ports and addresses only
            check_config(self._binary, cfg_path)
        try:
            process = children.start(
                [self._binary, "-db", "-f", str(cfg_path)], limits=_limits(self._haproxy), cores=self._cores
            )
        except (OSError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or error
            raise HaproxyError(f"{self._binary}: cannot be started: {why}") from error
        return HaproxyProcess(index, ports, stats_name, process)

    def _has_own_sources(self) -> bool:
        return self._haproxy.processes > 1 and all(
            _is_loopback(server) for route in self.routes for server in route.servers
        )

    async def _make_ready(self, index: int) -> None:
        for attempts_left in reversed(range(_PORT_ATTEMPTS)):
            process = self.processes[index]
            if await process.answers():
                return
            words = process.stderr_text()
            may_retry = self._haproxy.port is None and _PORT_TAKEN in words and attempts_left
            if not may_retry:
                raise HaproxyError(_refusal(process, words))
            # Somebody took the free port between our look and HAProxy's bind: take another.
            process.close()
            self.processes[index] = self._launch(index, free_ports(len(self.routes)))


def _limits(haproxy: Haproxy) -> dict[int, int]:
    """The resource limits that the profile states, as :func:`wsload.children.start` takes them."""
    stated = {resource.RLIMIT_NOFILE: haproxy.nofile, resource.RLIMIT_DATA: haproxy.memory_bytes}
    return {which: limit for which, limit in stated.items() if limit is not None}


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.rpartition(":")[0]).is_loopback
    except ValueError:  # a host name
        return False


def _refusal(process: HaproxyProcess, words: str) -> str:
    if process.returncode() is None:
        return f"HAProxy (pid {process.pid}) runs, but its stats socket does not answer: {alerts(words)}"
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in words), "see haproxy.cfg")
    if _PORT_TAKEN in words:
        return f"haproxy.port: {process.ports[0]} is taken: HAProxy says: {alerts(words)}; {remedy}"
    return f"HAProxy does not start: {alerts(words)}; {remedy}"
