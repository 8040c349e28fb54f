"""The slot ledger from made connections: each part counts what it should, moment by moment."""

from collections.abc import Sequence

import pytest

from tests.made_info import run_info
from wsload.analysis.folder import DisconnectRow, FailureRow, HaproxySample, LedgerRow
from wsload.analysis.ledger import (
    Occupancy,
    ledger,
    summarise_ledger,
    whole_moments,
)
from wsload.analysis.log_formats import LogFormat, LogRecord
from wsload.record.layout import IntervalLine, RunInfo
from wsload.record.outcome import Cause, Confidence, Phase, PlanAct, Wire

STARTED_UNIX_S = 1_795_000_000.0
TIMERS_MS = {"tunnel": 4_000, "client": 30_000, "server": 30_000}


def end(
    opened_s: float,
    ended_s: float,
    wire: Wire = Wire.CLOSE,
    plan: PlanAct = PlanAct.CLOSE,
    idle_s: float = 0.0,
    shut_s: float | None = None,
) -> DisconnectRow:
    idle_tx_s = idle_s if shut_s is None else ended_s - shut_s
    return DisconnectRow(
        t_s=ended_s,
        worker=0,
        cohort="c",
        tunnel=1,
        local_ip="127.0.0.1",
        local_port=40_000,
        remote="127.0.0.1:80",
        phase=Phase.HOLD,
        age_s=ended_s - opened_s,
        idle_rx_s=idle_s,
        idle_tx_s=idle_tx_s,
        wire=wire,
        close_code=None,
        close_reason="",
        cause=Cause.PLANNED,
        confidence=Confidence.CERTAIN,
        evidence="",
        plan=plan,
    )


def ghost(opened_s: float, vanished_s: float, idle_s: float = 0.0) -> DisconnectRow:
    return end(opened_s, vanished_s, Wire.VANISHED, PlanAct.VANISH, idle_s)


def failure(began_s: float, gave_up_s: float) -> FailureRow:
    return FailureRow(
        t_s=gave_up_s,
        worker=0,
        cohort="c",
        tunnel=1,
        local_ip="127.0.0.1",
        local_port=40_001,
        remote="127.0.0.1:80",
        waited_s=gave_up_s - began_s,
        reason="timeout",
    )


def line(accepted_s: float, freed_s: float) -> LogRecord:
    return LogRecord(
        line=1,
        format=LogFormat.JSON,
        client_ip="127.0.0.1",
        client_port=40_000,
        accept_unix_s=STARTED_UNIX_S + accepted_s,
        end_unix_s=STARTED_UNIX_S + freed_s,
        frontend="clients",
        backend="tunnels",
        server="tunnel1",
        status=101,
        termination="cD--",
        queue_ms=0,
        connect_ms=0,
        response_ms=0,
        total_ms=round((freed_s - accepted_s) * 1000),
        bytes_to_client=0,
    )


def sample(t_s: float, slots: int, process: int = 0) -> HaproxySample:
    return HaproxySample(
        t_s=t_s,
        process=process,
        pid=1,
        version="2.6.12",
        curr_conns=slots,
        slots=slots,
        maxconn=100,
        queue=0,
        conn_rate=0,
        cum_conns=0,
        pool_used_mb=0,
        pool_alloc_mb=0,
        idle_pct=0,
        dropped_logs=0,
        cpu_s=0,
        rss_bytes=0,
    )


def interval(t_s: float, open_: int) -> IntervalLine:
    return IntervalLine(
        v=1, seq=0, t_s=t_s, phase=Phase.HOLD, cohorts={}, open={"c": open_}, connecting={}, processes=[]
    )


def info() -> RunInfo:
    return run_info(
        started_unix_s=STARTED_UNIX_S, cohorts={"c": 10}, hold_s=9.0, drain_s=1.0, timers_ms=TIMERS_MS
    )


def at(
    t_s: float,
    *,
    ends: Sequence[tuple[DisconnectRow, LogRecord | None]] = (),
    failures: Sequence[tuple[FailureRow, LogRecord | None]] = (),
    slots: int = 0,
    lines: Sequence[IntervalLine] = (),
    log_is_whole: bool = True,
) -> LedgerRow:
    """The ledger at one moment."""
    occupancy = Occupancy(STARTED_UNIX_S, {"c": TIMERS_MS})
    for row, record in ends:
        occupancy.add_end(row, record)
    for failed, record in failures:
        occupancy.add_failure(failed, record)
    (only,) = ledger([sample(t_s, slots)], lines, occupancy, info(), 10.0, log_is_whole=log_is_whole)
    return only


def test_a_ghost_holds_its_slot_until_haproxy_logs_its_end() -> None:
    ends = [(ghost(1.0, 3.0), line(0.99, 7.0))]
    assert at(2.9, ends=ends, slots=1).ghosts == 0
    held = at(6.9, ends=ends, slots=1)
    assert (held.live, held.ghosts, held.unexplained) == (0, 1, 0)
    assert at(7.1, ends=ends).ghosts == 0


def test_a_ghost_without_a_line_in_a_whole_log_still_has_its_slot() -> None:
    ends = [(ghost(1.0, 3.0), None)]
    assert at(100.0, ends=ends, slots=1).ghosts == 1


@pytest.mark.parametrize(("t_s", "ghosts"), [(6.4, 1), (6.6, 0)])
def test_where_the_log_has_gaps_the_timer_frees_a_ghosts_slot_counted_from_its_last_byte(
    t_s: float, ghosts: int
) -> None:
    ends = [(ghost(1.0, 3.0, idle_s=0.5), None)]  # last byte at 2.5 s, "timeout tunnel" 4 s
    assert at(t_s, ends=ends, log_is_whole=False).ghosts == ghosts


def test_ghosts_come_from_the_plan_not_from_the_slots() -> None:
    row = at(5.0, ends=[(ghost(1.0, 3.0), line(0.99, 7.0))], slots=5)
    assert (row.ghosts, row.unexplained) == (1, 4)


def test_a_client_that_is_done_before_haproxy_leaves_a_half_open_slot() -> None:
    row = at(5.0, ends=[(end(1.0, 4.0), line(0.99, 6.0))], slots=1)
    assert (row.live, row.half_open, row.unexplained) == (0, 1, 0)


def test_a_half_closed_client_is_live_and_counted_as_such() -> None:
    closing = end(1.0, 8.0, Wire.FIN, PlanAct.HALF_CLOSE, shut_s=3.0)
    row = at(5.0, ends=[(closing, line(0.99, 8.0))], slots=1)
    assert (row.live, row.half_closed, row.half_open, row.unexplained) == (1, 1, 0, 0)
    assert at(2.0, ends=[(closing, line(0.99, 8.0))], slots=1).half_closed == 0


def test_a_client_that_has_not_heard_of_its_end_holds_no_slot() -> None:
    row = at(5.0, ends=[(end(1.0, 8.0), line(0.99, 4.0))], slots=0)
    assert (row.live, row.unaware, row.unexplained) == (1, 1, 0)


def test_an_accepted_client_holds_a_slot_before_its_101_and_one_that_fails_until_it_gives_up() -> None:
    opening = at(0.6, ends=[(end(0.9, 8.0), line(0.5, 8.0))], slots=1)
    assert (opening.live, opening.opening, opening.unexplained) == (0, 1, 0)
    failures = [(failure(2.0, 4.0), line(3.0, 5.0))]
    assert at(2.5, failures=failures).opening == 0  # in the backlog: no slot
    assert at(3.5, failures=failures, slots=1).opening == 1
    assert at(4.5, failures=failures, slots=1).half_open == 1


def test_live_tunnels_are_the_clients_own_count_carried_to_the_moment_of_the_sample() -> None:
    rows = [(end(0.5, 9.0), None), (end(4.95, 9.0), None), (end(0.5, 5.02), None)]
    lines = [interval(4.0, 12), interval(5.0, 13), interval(6.0, 12)]
    assert at(5.03, ends=rows, lines=lines).live == 12  # 13 at 5 s, and one has ended since
    assert at(4.90, ends=rows, lines=lines).live == 12  # 13 at 5 s, of which one was not open yet


def test_the_clients_count_stands_against_the_records() -> None:
    """Tunnels that were lost without a record are live all the same, and open ones have no record yet."""
    row = at(5.0, ends=[], lines=[interval(5.0, 7)], slots=7)
    assert (row.live, row.unexplained) == (7, 0)


def test_a_moment_at_which_a_process_was_silent_is_left_out_but_not_all_after_its_death() -> None:
    samples = [
        *(sample(1.0, 5), sample(1.0, 6, process=1)),
        sample(2.0, 5),
        *(sample(3.0, 5), sample(3.0, 7, process=1)),
        sample(4.0, 5),
    ]
    assert whole_moments(samples) == [(1.0, 11), (3.0, 12), (4.0, 5)]


def test_the_summary_is_the_holds() -> None:
    def row(t_s: float, phase: Phase, ghosts: int, slots: int, unexplained: int) -> LedgerRow:
        return LedgerRow(
            t_s=t_s,
            phase=phase,
            live=90,
            unaware=0,
            half_closed=0,
            opening=0,
            ghosts=ghosts,
            half_open=0,
            slots=slots,
            unexplained=unexplained,
        )

    rows = [
        row(0.0, Phase.OPEN, 0, 50, 40),
        row(1.0, Phase.HOLD, 12, 100, -2),
        row(2.0, Phase.HOLD, 10, 100, 1),
        row(3.0, Phase.DRAIN, 99, 100, 50),
    ]
    found = summarise_ledger(rows)
    assert found is not None
    assert (found.samples, found.ghosts, found.peak_ghosts) == (2, 10, 12)
    assert found.unexplained_share == pytest.approx(0.015)  # differences do not cancel
    assert found.unexplained_most == 2
    assert summarise_ledger(rows[:1]) is None


def test_without_connections_nothing_is_known_and_all_is_unexplained() -> None:
    assert at(5.0, slots=3).unexplained == 3
    assert list(ledger([], [], Occupancy(0.0, {}), info(), 10.0, log_is_whole=True)) == []
