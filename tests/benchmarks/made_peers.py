"""Made samples and measurements of peers."""

from typing import Any

import msgspec

from benchmarks.peer_tools.base import REPLY_FRAME_BYTES, Latency, Traffic, Workload
from benchmarks.peers_figures import Measurement, Setting
from benchmarks.peers_samples import Sample, Usage

IDLE = Workload(Traffic.IDLE, tunnels=5000, ramp_s=10.0, hold_s=20.0)
ECHO = Workload(Traffic.ECHO, tunnels=1000, ramp_s=5.0, hold_s=20.0, rate_per_s=10.0)
HERE = Setting(haproxy="2.6.12", kernel="6.1", cores=2, memory_bytes=24 << 30, python="3.11.7")


def sample(t_s: float, **changes: Any) -> Sample:
    """A tool of one process that has used a tenth of a core since 0 s and holds 100 MB."""
    made = Sample(
        t_s=t_s,
        tool=Usage(cpu_s=t_s / 10, pss_bytes=100_000_000, processes=1),
        driver=Usage(),
        haproxy_cpu_s=t_s / 20,
        backend_cpu_s=t_s / 40,
        tunnels=1000,
        replied_bytes=round(10_000 * t_s) * REPLY_FRAME_BYTES,
    )
    return msgspec.structs.replace(made, **changes)


def measurement(tool: str, workload: Workload = ECHO, **changes: Any) -> Measurement:
    """Round 1, all well."""
    made = Measurement(
        tool=tool,
        version="1.0",
        round=1,
        started="2026-11-26T15:00:00+00:00",
        workload=workload,
        setting=HERE,
        held=float(workload.tunnels),
        echoes_per_s=workload.tunnels * workload.rate_per_s,
        latency=Latency(),
    )
    return msgspec.structs.replace(made, **changes)
