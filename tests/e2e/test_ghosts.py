"""Clients that vanish, where the kernel does not let them."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.command import Command, run_arguments
from wsload.analysis.folder import RunFolder
from wsload.record.outcome import Cause, Confidence

pytestmark = pytest.mark.e2e

GHOSTS = '[[cohort]]\nname = "gone"\ntraffic = "ghost"\nafter = "200ms"\n'


def test_without_the_capability_ghosts_fall_silent_and_the_summary_says_so(tmp_path: Path) -> None:
    if not os.geteuid() and not shutil.which("setpriv"):
        pytest.skip("needs setpriv to give CAP_NET_ADMIN up")
    folder = tmp_path / "run"
    wsload = [sys.executable, "-m", "wsload"]
    arguments = run_arguments(
        folder, GHOSTS, load__tunnels="20", load__hold="1500ms", haproxy__timeouts__tunnel="700ms"
    )
    without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"] if not os.geteuid() else []
    ended = Command([], folder, shell="exec " + shlex.join([*without, *wsload, *arguments])).end()
    ended.assert_tidy()
    assert ended.code == 0, ended.err
    assert ended.summary.counters["ghost_stand_in"] == {"gone": 20}
    assert "20 only fell silent, as vanishing needs CAP_NET_ADMIN" in " ".join(ended.out.split())
    # They hold their slots as long as ghosts do, and are named as what they were.
    rows = RunFolder(ended.folder).disconnects()
    assert {(row.cause, row.confidence) for row in rows} == {
        (Cause.HAPROXY_TUNNEL_TIMEOUT, Confidence.CERTAIN)
    }
