"""Several causes in one run, against what the backend and the plan know to be true."""

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.command import start
from wsload.analysis.folder import RunFolder
from wsload.analysis.join import read_backend_log
from wsload.record import layout
from wsload.record.backend_log import BackendWire, EndedBy
from wsload.record.outcome import Cause, Confidence, PlanAct

pytestmark = pytest.mark.e2e

COHORTS = """
[[cohort]]
name = "idle"
share = 4
[[cohort]]
name = "pinged"
share = 4
traffic = "pinged"
every = "300ms"
[[cohort]]
name = "ghost"
share = 1
traffic = "ghost"
after = "300ms"
[[cohort]]
name = "half"
share = 1
traffic = "half-closed"
after = "300ms"
"""


def test_every_end_of_a_mixed_run_is_named_as_the_backend_and_the_plan_know_it(tmp_path: Path) -> None:
    ended = start(
        tmp_path / "run",
        profile=COHORTS,
        load__tunnels="200",
        load__hold="3s",
        load__drain="1s",
        haproxy__timeouts__tunnel="1s",
        backend__ends_after="600ms",
        backend__ends_with="rst",
        backend__ends_share="25%",
    ).end()
    ended.assert_tidy()
    folder = RunFolder(ended.folder)
    rows = folder.disconnects()
    truth = Counter(
        line.wire
        for line in read_backend_log(ended.folder / layout.BACKEND_LOG)
        if line.ended_by is EndedBy.BACKEND
    )
    named = Counter((row.cause, row.confidence) for row in rows)
    assert len(rows) == 200
    # A client that vanished was not reset: its planned end went first, whatever HAProxy logged later.
    planned = [row for row in rows if row.plan is not PlanAct.NOTHING]
    reset_later = sum(row.termination.startswith("SD") for row in planned)
    assert truth[BackendWire.RST] >= 40
    assert named[Cause.BACKEND_RESET, Confidence.CERTAIN] + reset_later == truth[BackendWire.RST]
    assert named[Cause.PLANNED, Confidence.CERTAIN] == len(planned)
    assert {row.cohort for row in planned} == {"pinged", "ghost", "half"}
    # What is left was silent, and only the tunnel timer was in force.
    cut = [row for row in rows if row.cause is Cause.HAPROXY_TUNNEL_TIMEOUT]
    assert {row.cohort for row in cut} == {"idle"}
    assert named[Cause.HAPROXY_TUNNEL_TIMEOUT, Confidence.CERTAIN] == len(cut)
    assert sum(named.values()) == len(planned) + len(cut) + named[Cause.BACKEND_RESET, Confidence.CERTAIN]
    attribution = folder.attribution()
    assert attribution is not None
    assert (attribution.completeness.matched, attribution.completeness.without_line) == (200, 0)
    assert attribution.completeness.backend_matched == 200
