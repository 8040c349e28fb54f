"""Searches for capacity whose answers are known, and clients that come and go, all with a real HAProxy."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.invoke import invoke
from tests.e2e.command import Command, Ended, until
from tests.e2e.scenarios import scenario
from wsload.analysis.folder import FOUND, PLATEAU, DisconnectRow, RunFolder
from wsload.errors import ExitCode
from wsload.record import layout
from wsload.record.outcome import Cause, Limit, Phase, PlanAct, Validity, Verdict
from wsload.record.summary import CapacityResult

pytestmark = pytest.mark.e2e

SEARCH = """
[haproxy.timeouts]
tunnel = "1s"

[load]
ramp = "200ms"
drain = "400ms"
interval = "200ms"
workers = 1
lag_limit = "10s"  # several runs share two cores here
handshake_timeout = "1s"

[[cohort]]
name = "pinged"
traffic = "pinged"
every = "250ms"

[capacity]
from = 60
to = 140
resolution = 40
judge = "1s"

[slo]
handshake_failed = ["rate<10%"]
disconnect_unexpected = ["rate<10%"]
"""
"""Levels 60, 140 and 100, on a HAProxy that can hold some 100 tunnels."""

THREE_SIGMA = 3.0


def start(folder: Path, profile: str, **values: str) -> Command:
    """``run`` of a profile's text; ``a__b`` sets ``a.b``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.toml"
    path.write_text(profile)
    given = [f"--set={name.replace('__', '.')}={value}" for name, value in values.items()]
    return Command(["run", str(path), "--out", str(folder), "--no-plots", *given], folder)


def searched(**values: str) -> Callable[[Path], Ended]:
    return lambda folder: start(folder, SEARCH, **values).end()


def found(ended: Ended) -> CapacityResult:
    result = ended.summary.capacity
    assert result is not None, ended.err
    return result


def assert_knee(ended: Ended, limit: Limit) -> None:
    result = found(ended)
    assert ended.code == ExitCode.PASSED, (ended.err, ended.reasons)
    assert [(plateau.level, plateau.passed) for plateau in result.plateaus] == [
        (60, True),
        (140, False),
        (100, True),
    ]
    assert (result.level, result.first_failed, result.limit) == (100, 140, limit), result.evidence
    assert result.capacity == pytest.approx(100, abs=2)
    assert ended.summary.verdict.slo == Verdict.PASSED
    assert [action.detail["level"] for action in ended.actions(PLATEAU)] == [60, 140, 100]
    assert len(ended.actions(FOUND)) == 1


@scenario(searched(haproxy__maxconn="110"))
def test_haproxys_maxconn_binds(ended: Ended) -> None:
    assert_knee(ended, Limit.MAXCONN)
    assert found(ended).evidence.startswith("110 of 110 slots were taken; ")
    assert "clients waited in the backlog" in found(ended).evidence
    assert "HAProxy's maxconn bound" in ended.out
    assert "held 3s: 1s until the idle timer has fired for all" in " ".join(ended.out.split())


@scenario(searched(haproxy__nofile="260"))
def test_haproxys_descriptors_bind(ended: Ended) -> None:
    assert_knee(ended, Limit.DESCRIPTORS)
    result = found(ended)
    failed = result.plateaus[1]
    assert 100 < failed.peak_slots == failed.maxconn < 130
    assert result.evidence.endswith("HAProxy worked out that maxconn from its descriptor limit")
    assert ended.summary.haproxy["maxconn"] == failed.maxconn


@scenario(searched(haproxy__source_ports="23000-23109"))
def test_haproxys_ports_toward_the_backend_bind(ended: Ended) -> None:
    assert_knee(ended, Limit.SOURCE_PORTS)
    assert ended.summary.handshake_causes == {Cause.SOURCE_PORTS: 30}
    assert found(ended).evidence.startswith("30 handshakes: ")


@scenario(searched(haproxy__maxconn="110", capacity__from="140", load__lag_limit="1ns"))
def test_a_capacity_that_is_the_generators_own_is_no_result(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert (found(ended).level, found(ended).limit) == (0, Limit.GENERATOR)
    assert "so the capacity found is the generator's own" in ended.reasons


def interrupted(folder: Path) -> Ended:
    command = start(folder, SEARCH, haproxy__maxconn="110")
    actions = folder / layout.ACTIONS
    until(lambda: actions.exists() and f'"{PLATEAU}"' in actions.read_text(), "the first plateau")
    command.signal(signal.SIGINT)
    return command.end()


@scenario(interrupted)
def test_a_search_that_is_interrupted_keeps_the_plateaus_so_far(
    ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert (ended.summary.partial, ended.summary.verdict.validity) == (True, Validity.SUSPECT)
    result = found(ended)
    assert [(plateau.level, plateau.passed) for plateau in result.plateaus] == [(60, True)]
    assert (result.level, result.first_failed, result.limit) == (60, None, "")
    said = invoke(capsys, "report", str(ended.folder), "--json", "--no-plots")
    assert json.loads(said.out)["capacity"]["level"] == 60


def dies(folder: Path) -> Ended:
    command = start(folder, SEARCH, haproxy__maxconn="110")
    actions = folder / layout.ACTIONS
    until(lambda: actions.exists() and f'"{PLATEAU}"' in actions.read_text(), "the first plateau")
    command.child("-db", "haproxy.cfg").kill()
    return command.end()


@scenario(dies)
def test_a_search_whose_haproxy_dies_keeps_the_plateaus_so_far(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert [(plateau.level, plateau.passed) for plateau in found(ended).plateaus] == [(60, True)]
    assert "HAProxy ended unasked" in ended.reasons


TURNOVER = """
[haproxy]
maxconn = 2000

[haproxy.timeouts]
tunnel = "800ms"

[load]
tunnels = 360
ramp = "400ms"
hold = "5s"
drain = "400ms"
interval = "200ms"
workers = 2
lag_limit = "10s"

[[cohort]]
name = "vanishing"
traffic = "pinged"
every = "200ms"
vanish = "20%/s"

[[cohort]]
name = "leaving"
traffic = "pinged"
every = "200ms"
session = "exp(2s)"

[[cohort]]
name = "talking"
traffic = "quiet"
gaps = "exp(100ms)"

[[cohort]]
name = "returning"
traffic = "quiet"
gaps = "fixed(2s)"
reconnect = "when-due"
"""
SEATS = 90
"""Of each cohort."""
MOST_LATE = 3


def turnover(folder: Path) -> Ended:
    return start(folder, TURNOVER).end()


def ends_of(ended: Ended, cohort: str) -> list[DisconnectRow]:
    return [row for row in RunFolder(ended.folder).iter_disconnects() if row.cohort == cohort]


def assert_within_three_sigma(count: int, expected: float) -> None:
    """Of a Poisson count."""
    assert abs(count - expected) <= THREE_SIGMA * math.sqrt(expected), (count, expected)


def assert_rate(ended: Ended, cohort: str, act: PlanAct, per_s: float) -> None:
    """So many went as the time they were there makes expect, each was replaced, and none counts as cut."""
    rows = ends_of(ended, cohort)
    went = [row for row in rows if row.plan is act and row.phase is not Phase.DRAIN]
    assert_within_three_sigma(len(went), per_s * sum(row.age_s or 0.0 for row in rows))
    counters = ended.summary.counters
    assert counters["opened"][cohort] == len(rows)
    replaced = counters["attempted"][cohort] - SEATS
    if act is PlanAct.VANISH:  # the drain makes nobody vanish, so each was replaced, whenever it was filed
        assert replaced == sum(row.plan is act for row in rows)
    else:
        # A busy worker may be late: who leaves when the drain is due, but has not begun, is replaced too and
        # yet filed under the drain, like the closes that the drain itself makes.
        assert 0 <= replaced - len(went) <= MOST_LATE
    assert ended.summary.disconnects[cohort] == {Cause.PLANNED: len(rows)}
    assert "disconnect_unexpected" not in counters or cohort not in counters["disconnect_unexpected"]


@scenario(turnover)
def test_clients_vanish_leave_speak_and_return_as_often_as_asked(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED, (ended.err, ended.reasons)
    summary = ended.summary
    assert summary.tunnels.planned_by_cohort == dict.fromkeys(summary.tunnels.planned_by_cohort, SEATS)
    assert_rate(ended, "vanishing", PlanAct.VANISH, 0.2)
    assert_rate(ended, "leaving", PlanAct.CLOSE, 1 / 2)
    for cohort in ("vanishing", "leaving"):
        assert summary.tunnels.held_by_cohort[cohort] == pytest.approx(SEATS, abs=5)
    there_s = sum(row.age_s or 0.0 for row in ends_of(ended, "talking"))
    assert_within_three_sigma(summary.counters["sent"]["talking"], there_s / 0.1)
    # Each opens, is cut 0.8 s later, and opens again 2 s and 4 s after the first time: 5.4 s hold no fourth.
    assert summary.counters["opened"]["returning"] == 3 * SEATS
    assert summary.disconnects["returning"][Cause.HAPROXY_TUNNEL_TIMEOUT] >= 2 * SEATS
    assert "returning" not in summary.counters["sent"]
