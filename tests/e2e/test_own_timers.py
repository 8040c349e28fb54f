"""Cohorts that ask one HAProxy process for timers of their own."""

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.command import Ended, start
from wsload.analysis.folder import RunFolder
from wsload.errors import ExitCode
from wsload.record.layout import HAPROXY_CFG

pytestmark = pytest.mark.e2e

PROFILE = """
[haproxy.timeouts]
tunnel = "1h"

[[cohort]]
name = "brief"
tunnel_timeout = "500ms"

[[cohort]]
name = "longer"
tunnel_timeout = "1500ms"

[[cohort]]
name = "backends"

[expect]
brief = { dies_at = "500ms", within = "300ms", cause = "haproxy_tunnel_timeout" }
longer = { dies_at = "1500ms", within = "300ms", cause = "haproxy_tunnel_timeout" }
backends = { survives = true }
"""
INSTALLED = [binary for binary in BINARIES if shutil.which(binary)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[Ended]"]]:
    base = tmp_path_factory.mktemp("timers")

    def play(number: int, binary: str) -> Ended:
        values = {"haproxy__binary": binary, "load__tunnels": "60", "load__hold": "2500ms"}
        return start(base / f"{number}", profile=PROFILE, **values).end()

    with ThreadPoolExecutor(len(INSTALLED)) as pool:
        yield {binary: pool.submit(play, number, binary) for number, binary in enumerate(INSTALLED)}


@pytest.mark.parametrize("binary", INSTALLED, ids=lambda word: Path(word).name)
def test_each_cohort_dies_of_its_own_timer(binary: str, runs: dict[str, "Future[Ended]"]) -> None:
    ended = runs[binary].result()
    ended.assert_tidy()
    assert ended.code == ExitCode.PASSED, (ended.err, ended.out)
    folder = RunFolder(ended.folder)
    assert folder.info.timers_ms["tunnel"] == 3_600_000
    assert folder.info.cohort_timers_ms == {"brief": {"tunnel": 500}, "longer": {"tunnel": 1500}}
    causes = Counter((row.cohort, str(row.cause), str(row.confidence)) for row in folder.iter_disconnects())
    assert causes == {
        ("brief", "haproxy_tunnel_timeout", "certain"): 20,
        ("longer", "haproxy_tunnel_timeout", "certain"): 20,
        ("backends", "planned", "certain"): 20,
    }
    found = ended.summary.findings
    assert [finding.rpartition(": ")[2] for finding in found] == [
        "`timeout tunnel 500ms`.",
        "`timeout tunnel 1500ms`.",
    ]
    assert "timeout tunnel 1h, 500ms (brief), 1.5s (longer)" in ended.out
    assert (ended.folder / HAPROXY_CFG).read_text().count("set-timeout tunnel") == 1
