"""Several causes in one run, tunnel by tunnel against what the backend and the plan know to be true."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.command import start
from wsload.analysis.folder import DisconnectRow, RunFolder
from wsload.analysis.join import read_backend_log
from wsload.record import layout
from wsload.record.backend_log import BackendEnd, BackendWire, EndedBy
from wsload.record.outcome import Cause, Confidence, PlanAct
from wsload.units import NS_PER_S

pytestmark = pytest.mark.e2e


COHORTS = """
[[cohort]]
name = "idle"
share = 4
[[cohort]]
name = "pinged"
share = 4
traffic = "pinged"
every = "150ms"
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

BACKEND_DID = {
    BackendWire.RST: Cause.BACKEND_RESET,
    BackendWire.IDLE_CLOSE: Cause.BACKEND_IDLE_TIMEOUT,
}


def backend_ends(folder: Path) -> dict[tuple[str, int], BackendEnd]:
    """By the client's address, which HAProxy's lines alone can tell; no address is there twice."""
    by_source = {(line.ip, line.port): line for line in read_backend_log(folder / layout.BACKEND_LOG)}
    lines = map(json.loads, (folder / layout.HAPROXY_LOG).read_bytes().splitlines())
    paths = {(line["ci"], line["cp"]): (line["bi"], int(line["bp"])) for line in lines if "ci" in line}
    assert len(by_source) == len(paths) == 200
    return {client: by_source[source] for client, source in paths.items()}


def truth(row: DisconnectRow, end: BackendEnd, start_monotonic_ns: int) -> Cause:
    """Who was first: the plan, the backend, or else the one timer in force. A ghost saw nothing more."""
    acted_s = row.t_s - (row.idle_tx_s or 0.0)
    plan_was_first = acted_s <= (end.ended_ns - start_monotonic_ns) / NS_PER_S
    if row.plan is PlanAct.VANISH or (row.plan is PlanAct.CLOSE and plan_was_first):
        return Cause.PLANNED
    if end.ended_by is EndedBy.BACKEND:
        return BACKEND_DID[end.wire]
    return Cause.HAPROXY_TUNNEL_TIMEOUT if row.plan is PlanAct.NOTHING else Cause.PLANNED


@pytest.mark.parametrize("binary", BINARIES, ids=lambda word: word.rpartition("/")[2])
def test_every_end_of_a_mixed_run_is_named_as_the_backend_and_the_plan_know_it(
    binary: str, tmp_path: Path
) -> None:
    if not shutil.which(binary):
        pytest.skip(f"{binary} is not there")
    ended = start(
        tmp_path / "run",
        profile=COHORTS,
        load__tunnels="200",
        load__hold="2500ms",
        load__drain="1s",
        haproxy__binary=binary,
        haproxy__timeouts__tunnel="1500ms",
        backend__idle_close="600ms",
        backend__idle_close_share="50%",
        backend__ends_after="400ms",
        backend__ends_with="rst",
        backend__ends_share="25%",
    ).end()
    ended.assert_tidy()
    folder = RunFolder(ended.folder)
    rows, ends = folder.disconnects(), backend_ends(ended.folder)
    assert len(rows) == 200
    start_ns = folder.info.start_monotonic_ns
    confusion = Counter(
        (truth(row, ends[row.local_ip, row.local_port or 0], start_ns), row.cause, row.confidence)
        for row in rows
    )
    right = {
        (cause, cause, Confidence.CERTAIN)
        for cause in (Cause.PLANNED, Cause.HAPROXY_TUNNEL_TIMEOUT, *BACKEND_DID.values())
    }
    assert set(confusion) == right, confusion
    assert min(confusion.values()) >= 20, confusion
    assert {row.cohort for row in rows if row.cause is Cause.PLANNED} == {"pinged", "ghost", "half"}
    attribution = folder.attribution()
    assert attribution is not None
    assert (attribution.completeness.matched, attribution.completeness.without_line) == (200, 0)
    assert attribution.completeness.backend_matched == 200
