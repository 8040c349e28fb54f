"""The slot ledger of a real run: HAProxy's own count of its slots against what clients and log tell."""

from pathlib import Path

import pytest

from tests.e2e.command import start
from wsload.analysis.folder import RunFolder
from wsload.analysis.ledger import STEADY_SHARE
from wsload.record import layout

pytestmark = pytest.mark.e2e

COHORTS = """
[[cohort]]
name = "pinged"
share = 7
traffic = "pinged"
every = "300ms"
[[cohort]]
name = "half"
share = 1
traffic = "half-closed"
after = "500ms"
[[cohort]]
name = "ghost"
share = 2
traffic = "ghost"
after = "500ms"
"""
VANISHED_S = 0.8
"""The last tunnel opens at 0.3 s, and vanishes or half-closes 0.5 s later."""
FIRST_FREE_S, LAST_FREE_S = 2.5, 2.8
"""The timer counts from each tunnel's last byte, its 101."""
BUSY_S = 0.4
"""How late two shared cores may make it."""


def test_every_slot_is_accounted_for_while_ghosts_come_and_go(tmp_path: Path) -> None:
    ended = start(
        tmp_path / "run",
        profile=COHORTS,
        load__tunnels="200",
        load__hold="4s",
        load__drain="500ms",
        haproxy__timeouts__tunnel="2500ms",
        backend__ignore_fin="true",
    ).end()
    ended.assert_tidy()
    if "ghost_stand_in" in ended.summary.counters:
        pytest.skip("clients can only vanish with CAP_NET_ADMIN")
    folder = RunFolder(ended.folder)
    rows = list(folder.iter_ledger())
    held = [row for row in rows if VANISHED_S + BUSY_S < row.t_s < FIRST_FREE_S]
    after = [row for row in rows if LAST_FREE_S + BUSY_S < row.t_s < 4.2]
    assert held, "no sample while the ghosts' slots were held"
    assert after, "no sample after their timer"
    assert {(row.ghosts, row.half_closed) for row in held} == {(40, 20)}
    assert {row.live for row in held} == {160}
    assert {row.ghosts for row in after} == {0}
    for row in held + after:
        assert abs(row.unexplained) <= STEADY_SHARE * row.slots, row
    found = ended.summary.slot_ledger
    assert found is not None
    assert found.peak_ghosts == 40
    assert found.unexplained_share <= STEADY_SHARE
    assert "slots" in ended.out
    assert (ended.folder / layout.LEDGER).read_text().startswith("t_s,phase,live,")
