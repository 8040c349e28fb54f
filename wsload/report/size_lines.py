"""Lines to paste for an answer of ``wsload size``: haproxy.cfg, sysctl and systemd. Pure text."""

import math

from wsload.analysis.sizing.answer import Answer
from wsload.analysis.sizing.constraints import BACKLOG, CONNTRACK, HOST_DESCRIPTORS, SOURCE_PORTS
from wsload.plan.preflight import SOMAXCONN
from wsload.profile.model import TIMEOUT_NAMES
from wsload.units import haproxy_time

_GLOBAL_TIMERS = ("hard-stop-after",)
_WIDE_PORTS = (1024, 65_535)
_USUAL_NR_OPEN = 1_048_576
"""fs.nr_open, the most that any LimitNOFILE can grant, unless it is raised."""
_USUAL_CONNTRACK = 262_144


def haproxy_cfg(answer: Answer) -> str:
    """Settings for ``global`` and ``defaults``; put your frontends and backends below."""
    fleet, node = answer.question.fleet, answer.question.node
    timers = {
        name: haproxy_time(fleet.timeouts_ns[name]) for name in TIMEOUT_NAMES if name in fleet.timeouts_ns
    }
    whole = [f"    {name} {timers.pop(name)}" for name in _GLOBAL_TIMERS if name in timers]
    width = max(map(len, timers), default=0)
    lines = ["global", f"    maxconn {answer.maxconn}", f"    nbthread {node.threads}", *whole]
    lines += [
        "",
        "defaults",
        "    mode http",
        f"    maxconn {answer.maxconn}",
        f"    backlog {backlog(answer)}",
    ]
    lines += [f"    timeout {name:<{width}} {text}" for name, text in timers.items()]
    if fleet.tcp_user_timeout_ns:
        lines.append(f"    # on each bind line of clients: tcp-ut {haproxy_time(fleet.tcp_user_timeout_ns)}")
    if node.sources > 1:
        lines.append(
            f"    # on the server lines: {node.sources} addresses in turn, each with: source ADDRESS"
        )
    return "\n".join(lines) + "\n"


def sysctl_lines(answer: Answer) -> list[str]:
    """Kernel settings, as lines of a file below /etc/sysctl.d. None is below what Linux has by itself."""
    rows = {row.name: row for row in answer.constraints}
    free, node = 1 - answer.question.reserve, answer.question.node
    lines = [
        f"net.core.somaxconn = {backlog(answer)}",
        f"net.ipv4.tcp_max_syn_backlog = {backlog(answer)}",
    ]
    if not rows[HOST_DESCRIPTORS].ok:
        lines.append(f"fs.file-max = {_up(rows[HOST_DESCRIPTORS].needed / free)}")
    if answer.max_sockets > _USUAL_NR_OPEN:
        lines.append(f"fs.nr_open = {_up(answer.max_sockets)}")
    if not rows[SOURCE_PORTS].ok and node.ports < _WIDE_PORTS[1] - _WIDE_PORTS[0]:
        lines.append(f"net.ipv4.ip_local_port_range = {_WIDE_PORTS[0]} {_WIDE_PORTS[1]}")
    entries = max(_up(rows[CONNTRACK].needed / free), _USUAL_CONNTRACK)
    note = "# where conntrack is loaded: " if node.conntrack is None else ""
    lines.append(f"{note}net.netfilter.nf_conntrack_max = {entries}")
    return lines


def systemd_lines(answer: Answer) -> str:
    """A drop-in for HAProxy's unit; the limit is each process's own, so that a reload needs no more."""
    return f"[Service]\nLimitNOFILE={_up(answer.max_sockets)}\n"


def backlog(answer: Answer) -> int:
    """For HAProxy's listeners and the kernel's limit on them: never below Linux's own default."""
    (row,) = (row for row in answer.constraints if row.name == BACKLOG)
    return max(_up(row.needed / (1 - answer.question.reserve)), SOMAXCONN)


def _up(number: float) -> int:
    """To two leading digits and no further down, so that it is easy to read: 18,225 -> 19,000."""
    whole = math.ceil(number)
    step = int(10 ** max(len(str(whole)) - 2, 0))
    return -(-whole // step) * step
