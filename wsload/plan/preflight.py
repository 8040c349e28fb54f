"""What the plan needs against what the machine has, before any traffic.

Sizes per tunnel are measured ones (haproxy-facts.md, section 5; field.md).
"""

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from wsload.errors import PreflightError
from wsload.plan.model import Machine, Plan
from wsload.plan.pinning import cores_for_all_apart, parts_here
from wsload.plan.sharding import SPARE_DESCRIPTORS, most_urls_of_one_destination, ports_of
from wsload.profile.keys import MOST_HAPROXY_PROCESSES, MOST_PROCESSES
from wsload.profile.load import default_maxconn
from wsload.profile.model import BackendMode, Via
from wsload.record.placement import listed, sharing_words
from wsload.units import NS_PER_S, format_count, format_size

HAPROXY_DESCRIPTORS = 60
"""What a HAProxy process needs beside two descriptors for each slot."""

DRIVER_BYTES = 3_000
HAPROXY_BYTES = 6_700  # with the log line that it keeps; 4,700 without a log
BACKEND_BYTES = 3_000
SOCKET_BYTES = 5_100  # 20.3 KB for a tunnel's four, measured at 100,000 (benchmarks/scale.py)
PROCESS_BYTES = 60_000_000
"""Of a Python process with its libraries; the rest are per tunnel, and of the kernel per socket."""

SOMAXCONN = 4096
"""How many connections may wait to be accepted, by Linux's default since 5.4."""
ACCEPT_DELAY_S = 0.1
"""For so long a busy listener may leave new connections waiting in its backlog."""

CONNTRACK_SHARE = 0.9
"""Of conntrack's table, beyond which a run's result is suspect."""

_WIDE_PORTS = (1024, 65_535)
_UNLIMITED = 2**62


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One need against one limit. ``remedy`` is what to type where ``ok`` is false; a check that is not
    ``fatal`` is a note: the run may go ahead."""

    name: str
    needed: int
    available: int
    unit: str
    """What is counted: ``descriptors``, ``ports``, ``bytes``, …"""
    remedy: str
    fatal: bool = True

    @property
    def ok(self) -> bool:
        """Enough is there."""
        return self.needed <= self.available

    @property
    def text(self) -> str:
        """``memory: 2.9GiB needed, 1.5GiB there; free memory``: with the remedy where there is too little."""
        needed, available = self._shown(self.needed), self._shown(self.available)
        line = f"{self.name}: {needed} needed, {available} there"
        return line if self.ok else f"{line}; {self.remedy}"

    def _shown(self, number: int) -> str:
        if number >= _UNLIMITED:
            return "no limit"
        return format_size(number) if self.unit == "bytes" else format_count(number)


def read_machine() -> Machine:
    """This host as it is now. The only function of the room that looks at the world.

    A file of /proc that is not there (a container, an older kernel) leaves Linux's default.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ports = _numbers("/proc/sys/net/ipv4/ip_local_port_range") or [32_768, 60_999]
    conntrack = _numbers("/proc/sys/net/netfilter/nf_conntrack_max")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        core_ids=tuple(sorted(os.sched_getaffinity(0))),
        nofile_hard=_UNLIMITED if hard == resource.RLIM_INFINITY else hard,
        file_max=(_numbers("/proc/sys/fs/file-max") or [_UNLIMITED])[0],
        port_range=(ports[0], ports[1]),
        somaxconn=(_numbers("/proc/sys/net/core/somaxconn") or [SOMAXCONN])[0],
        memory_available_bytes=_memory_available_bytes(),
        conntrack_max=conntrack[0] if conntrack else None,
        conntrack_used=(_numbers("/proc/sys/net/netfilter/nf_conntrack_count") or [0])[0],
    )


def _numbers(path: str) -> list[int]:
    try:
        return [int(word) for word in Path(path).read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def _memory_available_bytes() -> int:
    """The kernel's estimate, or what the control group still allows where that is less."""
    available = _UNLIMITED
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    except OSError:
        return available
    limit, used = _numbers("/sys/fs/cgroup/memory.max"), _numbers("/sys/fs/cgroup/memory.current")
    return min(available, max(limit[0] - used[0], 0)) if limit and used else available


def sockets_per_tunnel(plan: Plan) -> int:
    """Sockets of one tunnel on this host: the driver's, two of a managed HAProxy, the embedded backend's."""
    through_haproxy = 2 if plan.profile.target.via is Via.HAPROXY else 0
    return 1 + through_haproxy + (1 if _backend_is_here(plan) else 0)


def _backend_is_here(plan: Plan) -> bool:
    return "backend" in parts_here(plan.profile)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // max(divisor, 1))


def _driver_descriptors(plan: Plan, machine: Machine) -> Iterator[Check]:
    tunnels = plan.profile.load.tunnels
    needed = _ceil(tunnels, plan.workers) + SPARE_DESCRIPTORS
    room = machine.nofile_hard - SPARE_DESCRIPTORS
    workers = _ceil(tunnels, room)
    more = f"--set load.workers={workers}" if room > 0 and workers <= MOST_PROCESSES else ""
    yield Check(
        name="descriptors of each driver worker",
        needed=needed,
        available=machine.nofile_hard,
        unit="descriptors",
        remedy=_type(more, needed),
    )


def slots_of(nofile: int) -> int:
    """About how many slots a HAProxy works out from its descriptor limit."""
    return max((nofile - HAPROXY_DESCRIPTORS) // 2, 0)


def _haproxy_descriptors(plan: Plan, machine: Machine) -> Iterator[Check]:
    """HAProxy refuses to start when it cannot have two descriptors for each slot."""
    if plan.profile.target.via is not Via.HAPROXY:
        return
    haproxy, tunnels = plan.profile.haproxy, plan.profile.load.tunnels
    if haproxy.nofile is not None:
        yield Check(
            name="descriptors of each HAProxy process (haproxy.nofile)",
            needed=haproxy.nofile,
            available=machine.nofile_hard,
            unit="descriptors",
            remedy=_type(f"--set haproxy.nofile={machine.nofile_hard}", haproxy.nofile),
        )
    limit = machine.nofile_hard if haproxy.nofile is None else haproxy.nofile
    needed = 2 * haproxy.maxconn + HAPROXY_DESCRIPTORS
    room = slots_of(limit)
    if haproxy.maxconn == default_maxconn(tunnels, haproxy.processes):
        processes = _ceil(tunnels, room // 100 * 100 - 1)
        more = f"--set haproxy.processes={processes}"
    else:
        slots = haproxy.maxconn * haproxy.processes
        processes = _ceil(slots, room)
        more = f"--set haproxy.processes={processes} --set haproxy.maxconn={_ceil(slots, processes)}"
    yield Check(
        name="descriptors of each HAProxy process (2 x maxconn)",
        needed=needed,
        available=limit,
        unit="descriptors",
        remedy=_type(more if room >= 100 and processes <= MOST_HAPROXY_PROCESSES else "", needed),
    )


def _backend_descriptors(plan: Plan, machine: Machine) -> Iterator[Check]:
    if not _backend_is_here(plan):
        return
    tunnels, processes = plan.profile.load.tunnels, plan.profile.backend.processes
    # The kernel deals connections out to several processes by a hash: allow for its unevenness.
    uneven = 1.1 if processes > 1 else 1.0
    needed = int(_ceil(tunnels, processes) * uneven) + SPARE_DESCRIPTORS
    room = int((machine.nofile_hard - SPARE_DESCRIPTORS) / 1.1)
    more_processes = _ceil(tunnels, room)
    more = (
        f"--set backend.processes={more_processes}" if room > 0 and more_processes <= MOST_PROCESSES else ""
    )
    yield Check(
        name="descriptors of each backend process",
        needed=needed,
        available=machine.nofile_hard,
        unit="descriptors",
        remedy=_type(more, needed),
    )


def _host_descriptors(plan: Plan, machine: Machine) -> Iterator[Check]:
    needed = plan.profile.load.tunnels * sockets_per_tunnel(plan) + 1000
    yield Check(
        name=f"descriptors of the host ({sockets_per_tunnel(plan)} for each tunnel)",
        needed=needed,
        available=machine.file_max,
        unit="descriptors",
        remedy=f"type sysctl -w fs.file-max={_rounded_up(needed)}",
    )


def _driver_ports(plan: Plan, machine: Machine) -> Iterator[Check]:
    pairs = plan.targets * max(len(plan.sources), 1)
    needed = _ceil(plan.profile.load.tunnels, pairs) * most_urls_of_one_destination(plan.profile)
    sources = _ceil(needed * max(len(plan.sources), 1), ports_of(machine))
    wide = needed <= _WIDE_PORTS[1] - _WIDE_PORTS[0]
    yield Check(
        name="local ports for each source and destination",
        needed=needed,
        available=ports_of(machine),
        unit="ports",
        remedy=f"name {sources} addresses of this host in target.sources"
        + (f", or {_sysctl_ports()}" if wide else ""),
    )


def _haproxy_ports(plan: Plan, machine: Machine) -> Iterator[Check]:
    """Toward loopback each process has a source address of its own; elsewhere they share one."""
    profile = plan.profile
    if profile.target.via is not Via.HAPROXY:
        return
    embedded = profile.backend.mode is BackendMode.EMBEDDED
    servers = profile.backend.servers
    addresses = plan.backend_listeners if embedded else len(servers)
    on_loopback = embedded or all(server.startswith("127.") for server in servers)
    own_sources = profile.haproxy.processes if on_loopback else 1
    needed = _ceil(_ceil(profile.load.tunnels, own_sources), addresses)
    stated = profile.haproxy.source_ports
    available = ports_of(machine) if stated is None else stated[1] - stated[0] + 1
    enough = _ceil(needed * addresses, available)
    more = _sysctl_ports() if stated is None else "a wider haproxy.source_ports"
    yield Check(
        name="HAProxy's ports toward each backend address",
        needed=needed,
        available=available,
        unit="ports",
        remedy=f"name {enough} addresses in backend.servers, or {more}",
        fatal=stated is None,  # who states them wants to see what becomes of it
    )


def memory_needed_bytes(plan: Plan) -> dict[str, int]:
    """By who needs it: ``driver``, ``haproxy``, ``backend``, ``kernel``; 0 for who is not on this host."""
    tunnels, profile = plan.profile.load.tunnels, plan.profile
    backend_processes = profile.backend.processes if _backend_is_here(plan) else 0
    return {
        "driver": tunnels * DRIVER_BYTES + (plan.workers + 1) * PROCESS_BYTES,
        "haproxy": tunnels * HAPROXY_BYTES if profile.target.via is Via.HAPROXY else 0,
        "backend": (tunnels * BACKEND_BYTES if backend_processes else 0) + backend_processes * PROCESS_BYTES,
        "kernel": tunnels * sockets_per_tunnel(plan) * SOCKET_BYTES,
    }


def _memory(plan: Plan, machine: Machine) -> Iterator[Check]:
    needs = memory_needed_bytes(plan)
    fixed = (plan.workers + 1 + (plan.profile.backend.processes if needs["backend"] else 0)) * PROCESS_BYTES
    needed, tunnels = sum(needs.values()), plan.profile.load.tunnels
    fits = int((machine.memory_available_bytes - fixed) * tunnels / max(needed - fixed, 1))
    yield Check(
        name="memory",
        needed=needed,
        available=machine.memory_available_bytes,
        unit="bytes",
        remedy=f"type --set load.tunnels={fits}, or free memory" if fits > 0 else "free memory",
    )


def _backlog(plan: Plan, machine: Machine) -> Iterator[Check]:
    load = plan.profile.load
    at_once = load.tunnels * min(ACCEPT_DELAY_S * NS_PER_S / load.ramp_ns if load.ramp_ns else 1.0, 1.0)
    needed = max(_ceil(int(at_once), plan.targets), 1)
    yield Check(
        name="backlog for the opening rate (somaxconn)",
        needed=needed,
        available=machine.somaxconn,
        unit="connections",
        remedy=f"a longer load.ramp, or sysctl -w net.core.somaxconn={_rounded_up(needed)}",
        fatal=False,
    )


def _conntrack(plan: Plan, machine: Machine) -> Iterator[Check]:
    """A note only: the module may be loaded with no rule that makes it track these connections."""
    if machine.conntrack_max is None:
        return
    connections = _ceil(sockets_per_tunnel(plan), 2) * plan.profile.load.tunnels
    all_of_them = int((connections + machine.conntrack_used) / CONNTRACK_SHARE) + 1
    yield Check(
        name="connections in conntrack",
        needed=connections,
        available=max(int(CONNTRACK_SHARE * machine.conntrack_max) - machine.conntrack_used, 0),
        unit="connections",
        remedy=f"type sysctl -w net.netfilter.nf_conntrack_max={_rounded_up(all_of_them)}",
        fatal=False,
    )


def _slots(plan: Plan, machine: Machine) -> Iterator[Check]:
    """Fewer slots than tunnels is no error: it is how overload is tested."""
    haproxy = plan.profile.haproxy
    if plan.profile.target.via is Via.HAPROXY:
        tunnels = plan.profile.load.tunnels
        each = _ceil(tunnels, haproxy.processes)
        slots = haproxy.processes * (haproxy.maxconn or slots_of(haproxy.nofile or machine.nofile_hard))
        yield Check(
            name="HAProxy slots (maxconn x processes)",
            needed=tunnels,
            available=slots,
            unit="slots",
            remedy=f"the rest will wait and fail; for all to open, type --set haproxy.maxconn={each}",
            fatal=False,
        )


def _own_cores(plan: Plan, machine: Machine) -> Iterator[Check]:
    """Too few is a note: what shares a core is told, here and in the result."""
    if plan.profile.load.pin:
        parts = parts_here(plan.profile)
        yield Check(
            name=f"cores of their own for {listed(parts)} (load.pin)",
            needed=cores_for_all_apart(plan.profile),
            available=len(machine.core_ids),
            unit="cores",
            remedy=sharing_words(parts, plan.placement.pinned(), machine.core_ids),
            fatal=False,
        )


CHECKS: tuple[Callable[[Plan, Machine], Iterator[Check]], ...] = (
    _driver_descriptors,
    _haproxy_descriptors,
    _backend_descriptors,
    _host_descriptors,
    _driver_ports,
    _haproxy_ports,
    _memory,
    _slots,
    _backlog,
    _conntrack,
    _own_cores,
)


def checks(plan: Plan, machine: Machine) -> list[Check]:
    """All that apply to this plan, met or not."""
    return [check for each in CHECKS for check in each(plan, machine)]


def require(done: Sequence[Check]) -> None:
    """Refuse a plan that cannot work.

    Raises:
        PreflightError: Names each limit that is too low, what is needed, what there is and what to type.
    """
    failed = [check.text for check in done if check.fatal and not check.ok]
    if failed:
        raise PreflightError("the plan does not fit this machine: " + " | ".join(failed))


def _type(settings: str, descriptors: int) -> str:
    """What to type for more descriptors: settings that need fewer, where there are any, or a higher limit."""
    ulimit = f"ulimit -n {_rounded_up(descriptors)}"
    return f"type {settings}, or {ulimit}" if settings else f"type {ulimit}"


def _sysctl_ports() -> str:
    return f'sysctl -w net.ipv4.ip_local_port_range="{_WIDE_PORTS[0]} {_WIDE_PORTS[1]}"'


def _rounded_up(number: int) -> int:
    """To two leading digits, so that a command is easy to type: 20,260 -> 21,000."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return _ceil(number, step) * step
