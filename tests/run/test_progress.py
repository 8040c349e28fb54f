import pytest

from tests.made_info import run_info
from tests.made_tunnels import Choices
from wsload.record.layout import IntervalLine, RunInfo
from wsload.record.outcome import Phase
from wsload.record.snapshot import CohortInterval, MergedCohort
from wsload.run.collector import ClosedInterval
from wsload.run.progress import ProgressKeeper


def info() -> RunInfo:
    return run_info(
        title="mixed",
        tunnels=90,
        cohorts={"idle": 60, "chatty": 30},
        ramp_s=2.0,
        drain_s=3.0,
        timers_ms=dict(Choices().timers_ms),
    )


def interval(phase: Phase, **counters: int) -> ClosedInterval:
    part = MergedCohort()
    part.add(CohortInterval(counters))
    line = IntervalLine(
        v=1,
        seq=1,
        t_s=1.0,
        phase=phase,
        cohorts={},
        open={"idle": 7, "chatty": 0},
        connecting={"idle": 2, "chatty": 0},
        processes=[],
    )
    return ClosedInterval(line, {"idle": {phase: part}}, 0.5)


@pytest.mark.parametrize(
    ("elapsed_s", "phase", "left_s"),
    [
        (0.0, Phase.OPEN, 15.0),
        (2.0, Phase.HOLD, 13.0),
        (12.0, Phase.DRAIN, 3.0),
        (20.0, Phase.DRAIN, 0.0),
    ],
)
def test_the_phase_and_the_time_left_follow_the_plan(elapsed_s: float, phase: Phase, left_s: float) -> None:
    now = ProgressKeeper(info(), "").now(elapsed_s)
    assert (now.phase, now.left_s) == (phase, left_s)


@pytest.mark.parametrize("drained_s", [1.0, 5.0])
def test_a_drain_that_began_early_shortens_what_is_left(drained_s: float) -> None:
    keeper = ProgressKeeper(info(), "")
    keeper.drain_at_s = drained_s
    assert keeper.now(drained_s).phase is Phase.DRAIN
    assert keeper.now(drained_s + 1).left_s == 2.0


def test_levels_are_the_last_interval_s_and_losses_add_up() -> None:
    keeper = ProgressKeeper(info(), "cell 1 of 2")
    keeper.interval(interval(Phase.HOLD, opened=10, received=100, handshake_failed=1, disconnect=4))
    keeper.interval(interval(Phase.HOLD, opened=5, handshake_failed=1, disconnect=1))
    now = keeper.now(3.0)
    idle = now.cohorts["idle"]
    assert (idle.planned, idle.open, idle.connecting, idle.failed, idle.lost) == (60, 7, 2, 2, 5)
    assert (now.opening_rate_per_s, now.echoes_per_s, now.p50_ms) == (10.0, 0.0, None)
    assert now.cell == "cell 1 of 2"


def test_what_the_drain_closes_is_not_lost() -> None:
    keeper = ProgressKeeper(info(), "")
    keeper.interval(interval(Phase.DRAIN, disconnect=60))
    assert keeper.now(13.0).cohorts["idle"].lost == 0


def test_haproxys_processes_are_added_up_and_their_cpu_is_a_share_of_a_core() -> None:
    keeper = ProgressKeeper(info(), "")
    keeper.haproxy([])
    assert keeper.now(1.0).haproxy is None
    row = {"curr_conns": 10, "slots": 8, "maxconn": 50, "cpu_s": 1.0}
    keeper.haproxy([row, row])
    proxy = keeper.now(1.0).haproxy
    assert proxy is not None
    assert (proxy.connections, proxy.slots, proxy.maxconn, proxy.cpu_share) == (20, 16, 100, 0.0)
