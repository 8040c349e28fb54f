"""What HAProxy says about itself: ``show info`` and ``show stat`` over its stats socket, once an interval."""

import asyncio
import contextlib
import csv
import io
import re
import socket
from typing import TYPE_CHECKING, Any

import psutil

from wsload.haproxy.config import Names, abns_address, names_of

if TYPE_CHECKING:
    from wsload.haproxy.process import HaproxyFleet, HaproxyProcess

ANSWER_TIMEOUT_S = 2.0

_ALONE = names_of(0, 1)
_PROCESS_COUNTS = ("CurrConns", "ConnRate", "CumConns")
_FRONTEND_COUNTS = ("scur", "conn_rate", "conn_tot")
_PROXY, _SERVICE, _FRONT = "pxname", "svname", "FRONTEND"


def parse_info(text: str) -> dict[str, str]:
    """``show info``: one ``Name: value`` a line."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def parse_stat(text: str) -> list[dict[str, str]]:
    """``show stat``: CSV whose header starts with ``# `` and whose columns grow with HAProxy's versions."""
    reader = csv.reader(io.StringIO(text.lstrip().removeprefix("# ")))
    header = next(reader, [])
    return [dict(zip(header, row, strict=False)) for row in reader if len(row) > 1]


def parse_version(text: str) -> str:
    """``2.6.12`` out of ``HAProxy version 2.6.12-1+deb12u2 2025/04/16``; empty if there is none."""
    match = re.search(r"\d+\.\d+(?:\.\d+|-dev\d+)?", text)
    return match[0] if match else ""


class StatsClient:
    """Asks one HAProxy. Each call is a connection of its own, as HAProxy closes it after the answer.

    Every method raises OSError (TimeoutError among them) when nobody answers in time.
    """

    def __init__(self, name: str, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """``name`` is the abstract name of the stats socket."""
        self._address, self._timeout_s = abns_address(name), timeout_s

    async def ask(self, commands: str) -> str:
        """The raw answer to one or more commands separated by ``;``."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(self._address)  # to a Unix socket: at once, or not at all
            reader, writer = await asyncio.open_unix_connection(sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            async with asyncio.timeout(self._timeout_s):
                writer.write(commands.encode() + b"\n")
                return (await reader.read()).decode("utf-8", "replace")
        finally:
            writer.close()

    async def info(self) -> dict[str, str]:
        """``show info`` by name."""
        return parse_info(await self.ask("show info"))

    async def stat(self) -> list[dict[str, str]]:
        """``show stat``, one dict for each frontend, backend and server."""
        return parse_stat(await self.ask("show stat"))

    async def info_and_stat(self) -> tuple[dict[str, str], list[dict[str, str]]]:
        """Both over one connection."""
        info, _, stat = (await self.ask("show info;show stat")).partition("\n\n")
        return parse_info(info), parse_stat(stat)


def row_of(
    info: dict[str, str],
    stat: list[dict[str, str]],
    *,
    t_s: float,
    process: int,
    pid: int,
    usage: tuple[float, int],
    names: Names = _ALONE,
    is_shared: bool = False,
) -> dict[str, Any]:
    """One row of :data:`wsload.record.layout.HAPROXY_STATS_COLUMNS`.

    ``usage`` is CPU seconds since the process's start and resident bytes. A field HAProxy does not have is 0.
    Of a process that several runs share (``is_shared``), connections and their rate are those of the
    frontend in ``names`` too, so that each run sees its own; what is left of the row is the process's.
    """
    mine = [row for row in stat if row[_PROXY] in names]
    frontend = next((row for row in mine if row[_SERVICE] == _FRONT), {})
    source, counts = (frontend, _FRONTEND_COUNTS) if is_shared else (info, _PROCESS_COUNTS)
    current, rate, total = (_number(source, name) for name in counts)
    return {
        "t_s": t_s,
        "process": process,
        "pid": pid,
        "version": parse_version(info.get("Version", "")),
        "curr_conns": current,
        "slots": _number(frontend, "scur"),
        "maxconn": _number(frontend, "slim"),
        "queue": sum(_number(row, "qcur") for row in mine if row[_SERVICE] != _FRONT),
        "conn_rate": rate,
        "cum_conns": total,
        "pool_used_mb": _number(info, "PoolUsed_bytes") / 1e6,  # PoolUsed_MB is whole megabytes
        "pool_alloc_mb": _number(info, "PoolAlloc_bytes") / 1e6,
        "idle_pct": _number(info, "Idle_pct"),
        "dropped_logs": _number(info, "DroppedLogs"),
        "cpu_s": usage[0],
        "rss_bytes": usage[1],
        "pool_failed": _number(info, "PoolFailed"),
    }


async def sample(fleet: "HaproxyFleet", t_s: float, route: int = 0) -> list[dict[str, Any]]:
    """A row of a route for each process that answers, in the fleet's order; one that is gone has none."""
    rows = await asyncio.gather(
        *(_sample_one(process, t_s, route, len(fleet.routes)) for process in fleet.processes)
    )
    return [row for row in rows if row is not None]


async def _sample_one(
    process: "HaproxyProcess", t_s: float, route: int, routes: int
) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, psutil.NoSuchProcess):
        info, stat = await process.stats.info_and_stat()
        if "Pid" not in info or not stat:  # it went while it answered
            return None
        return row_of(
            info,
            stat,
            t_s=t_s,
            process=process.index,
            pid=process.pid,
            usage=_usage(process.pid),
            names=names_of(route, routes),
            is_shared=routes > 1,
        )
    return None


def _usage(pid: int) -> tuple[float, int]:
    process = psutil.Process(pid)
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss


def _number(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if text else 0
