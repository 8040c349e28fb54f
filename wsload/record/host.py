"""What the host says of itself while a run lasts: which figures, and how they are read.

All are counted since boot. Formats: proc(5) for ``/proc/stat`` and ``/proc/vmstat``; the kernel's
Documentation/networking/nf_conntrack-sysctl.rst for conntrack's limit, and nf_conntrack_standalone.c for its
counters, a line of hexadecimal numbers for each core.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

STAT, VMSTAT = "stat", "vmstat"
CONNTRACK_COUNT = "sys/net/netfilter/nf_conntrack_count"
CONNTRACK_MAX = "sys/net/netfilter/nf_conntrack_max"
CONNTRACK_COUNTERS = "net/stat/nf_conntrack"
"""Where each stands below ``/proc``."""

_TABLE_FULL = ("drop", "early_drop")
"""Packets dropped for want of an entry (or in a rare race), and entries thrown out to make room."""


class CpuTimes(NamedTuple):
    """Seconds of some cores together."""

    busy_s: float = 0.0
    idle_s: float = 0.0
    stolen_s: float = 0.0
    """Of the busy ones, those that the hypervisor gave to others."""


def parse_cpu_times(text: str, cores: Collection[int], ticks_per_s: int, nice_gives_way: bool) -> CpuTimes:
    """The times of these cores in ``/proc/stat``.

    Programs of lower priority than ours give way: with ``nice_gives_way`` what they use counts as idle.
    """
    busy = idle = stolen = 0
    for line in text.splitlines():
        name, *words = line.split()
        number = name.removeprefix("cpu")
        if not name.startswith("cpu") or not number.isdigit() or int(number) not in cores:
            continue
        user, nice, system, free, waits, irq, softirq, steal = map(int, words[:8])
        idle += free + waits + (nice if nice_gives_way else 0)
        busy += user + system + irq + softirq + steal + (0 if nice_gives_way else nice)
        stolen += steal
    return CpuTimes(busy / ticks_per_s, idle / ticks_per_s, stolen / ticks_per_s)


def parse_swapped_pages(text: str) -> int:
    """Pages moved to and from swap, of ``/proc/vmstat``."""
    values = dict(line.split(maxsplit=1) for line in text.splitlines())
    return sum(int(values.get(name, 0)) for name in ("pswpin", "pswpout"))


def parse_conntrack_drops(text: str) -> int:
    """What a full table cost, all cores together, of ``/proc/net/stat/nf_conntrack``."""
    head, *lines = text.splitlines() or [""]
    columns: Mapping[str, int] = {name: number for number, name in enumerate(head.split())}
    chosen = [columns[name] for name in _TABLE_FULL if name in columns]
    rows = [line.split() for line in lines]
    return sum(int(row[column], 16) for row in rows for column in chosen)
