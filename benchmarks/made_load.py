"""What workers would have seen in a run: made echoes, snapshots, and cuts, for the micro-benchmarks."""

from struct import pack
from typing import NamedTuple

import numpy as np

from wsload.driver.recorder import CohortRecorder, pack_reply, pack_send
from wsload.plan.model import Assignment
from wsload.plan.phases import PhaseTimes
from wsload.profile.model import Cohort
from wsload.record.outcome import Phase, PlanAct, Wire
from wsload.record.snapshot import Disconnect, Gauges, Snapshot, WorkerHealth
from wsload.units import NS_PER_MS, NS_PER_S

PHASES = PhaseTimes(start_ns=NS_PER_S, hold_ns=2 * NS_PER_S, drain_ns=100 * NS_PER_S)
INTERVAL_END_NS = PHASES.hold_ns + NS_PER_S
COHORTS = ("brief", "chatty", "patient")
COHORT_ECHOES = 1000
"""Of each cohort in a snapshot."""
FRAME_BYTES = 70


class Echo(NamedTuple):
    """A message and its reply, as the hot path notes them."""

    due_ns: int
    sent_ns: int
    stamp: bytes
    received_ns: int


def latencies_ns(count: int, seed: int = 1) -> list[int]:
    """Around 1 ms, with a long tail."""
    drawn = np.random.default_rng(seed).lognormal(np.log(NS_PER_MS), 0.7, count)
    return [int(latency_ns) for latency_ns in drawn]


def echoes(count: int, seed: int = 1) -> list[Echo]:
    """Evenly over the hold's first interval."""
    result = []
    for number, latency_ns in enumerate(latencies_ns(count, seed)):
        due_ns = PHASES.hold_ns + number * NS_PER_S // count
        sent_ns = due_ns + latency_ns // 10
        result.append(Echo(due_ns, sent_ns, pack("<QQ", due_ns, sent_ns), due_ns + latency_ns))
    return result


def echo_recorder() -> CohortRecorder:
    """A chatty cohort's, empty."""
    return CohortRecorder(PHASES, "echo_corrected", "echo_service")


def note(recorder: CohortRecorder, noted: list[Echo]) -> None:
    """What cohort and tunnel do with a recorder for each message they send and each reply."""
    for due_ns, sent_ns, stamp, received_ns in noted:
        recorder.note_send(pack_send(due_ns, sent_ns))
        recorder.bytes_sent += FRAME_BYTES
        recorder.note_reply(pack_reply(stamp, received_ns))
        recorder.bytes_received += FRAME_BYTES


def snapshot(worker: int) -> Snapshot:
    """One interval of a worker; no two workers saw the same latencies."""
    cohorts = {}
    for number, name in enumerate(COHORTS):
        recorder = echo_recorder()
        note(recorder, echoes(COHORT_ECHOES, seed=worker * len(COHORTS) + number))
        cohorts[name] = recorder.take(INTERVAL_END_NS)
    return Snapshot(
        worker=worker,
        seq=1,
        end_ns=INTERVAL_END_NS - PHASES.start_ns,
        cohorts=cohorts,
        gauges={name: Gauges(open=COHORT_ECHOES) for name in COHORTS},
        disconnects=[],
        failed=[],
        health=WorkerHealth(cpu_s=1.0, rss_bytes=1 << 26),
    )


def assignment(worker: int) -> Assignment:
    """As little of a worker's share as a collector asks for."""
    return Assignment.pack(
        tunnel_ids=[worker],
        opens_ns=[0],
        cohort_of=[0],
        source_of=[0],
        target_of=[0],
        worker=worker,
        seed=1,
        cohorts=tuple(Cohort(name=name) for name in COHORTS),
        sources=(),
        ramp_ns=PHASES.hold_ns - PHASES.start_ns,
        hold_ns=PHASES.drain_ns - PHASES.hold_ns,
        drain_ns=NS_PER_S,
        interval_ns=NS_PER_S,
        handshake_timeout_ns=NS_PER_S,
    )


def cut(tunnel: int) -> Disconnect:
    """An idle tunnel's end at ``timeout tunnel 8s``."""
    return Disconnect(
        t_ns=10 * NS_PER_S + tunnel,
        tunnel=tunnel,
        cohort="brief",
        local_ip="127.0.0.2",
        local_port=10_000 + tunnel,
        remote="127.0.0.1:8080",
        phase=Phase.HOLD,
        age_ns=9 * NS_PER_S,
        idle_rx_ns=8 * NS_PER_S + tunnel,
        idle_tx_ns=8 * NS_PER_S + tunnel,
        wire=Wire.FIN,
        close_code=None,
        close_reason="",
        plan=PlanAct.NOTHING,
    )
