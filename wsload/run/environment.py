"""``environment.json``: where a result was made, so that two results can be told apart."""

import importlib.metadata
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

import wsload
from wsload.plan.model import Plan
from wsload.plan.pinning import parts_here
from wsload.record.layout import OWN_TIMERS

_PACKAGES = ("uvloop", "websockets", "hdrhistogram", "msgspec", "numpy")
_SYSCTLS = (
    "fs/file-max",
    "fs/nr_open",
    "net/core/somaxconn",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_mem",
    "net/netfilter/nf_conntrack_max",
)


def describe_environment(haproxy_version: str, timers_ms: Mapping[str, int], plan: Plan) -> dict[str, Any]:
    """Versions, kernel, limits, HAProxy's timers in force, and which parts of the run share this host.

    ``timers_ms`` are the run's (``RunInfo.timers_ms``), of which the embedded backend's are left out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    memory = psutil.virtual_memory()
    return {
        "wsload": wsload.__version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "haproxy": haproxy_version,
        "haproxy_timers_ms": {name: ms for name, ms in timers_ms.items() if name not in OWN_TIMERS},
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": len(plan.placement.host),
        "core_ids": plan.placement.host,
        "memory_bytes": memory.total,
        "memory_available_bytes": memory.available,
        "nofile": {"soft": soft, "hard": hard},
        "sysctl": {name: text for name in _SYSCTLS if (text := _sysctl(name)) is not None},
        "shares_host": parts_here(plan.profile),
        "pinned": plan.placement.pinned(),
    }


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys") / name
    return " ".join(path.read_text().split()) if path.exists() else None
