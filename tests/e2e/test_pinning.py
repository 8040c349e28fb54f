"""Pinned children, by their real affinity."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from tests.cli.invoke import invoke
from tests.e2e.command import start
from wsload.analysis.folder import RunFolder
from wsload.errors import ExitCode
from wsload.record.outcome import Phase

pytestmark = pytest.mark.e2e

PARTS = (("haproxy", "-db"), ("wsload.driver",), ("wsload.backend",))
"""Words on the command lines of HAProxy, a worker and the backend."""
CORES = sorted(os.sched_getaffinity(0))


def affinity(process: psutil.Process) -> set[int]:
    """The cores that any thread of it may use."""
    threads: Iterable[int] = (thread.id for thread in process.threads())
    return set().union(*(os.sched_getaffinity(thread) for thread in threads))


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores to keep apart")
def test_each_part_runs_where_the_summary_says(tmp_path: Path) -> None:
    first, last = CORES[0], CORES[-1]
    command = start(
        tmp_path / "run", load__pin="true", haproxy__cpus=str(last), haproxy__threads="2", load__hold="2s"
    )
    command.reach(Phase.HOLD)
    haproxy, worker, backend = (affinity(command.child(*words)) for words in PARTS)
    parent = affinity(psutil.Process(command.process.pid))
    ended = command.end()
    ended.assert_tidy()
    assert ended.code == ExitCode.PASSED
    assert haproxy == {last}
    assert worker == {first}
    assert len(backend) == 1
    assert last not in backend | parent
    environment = RunFolder(ended.folder).environment()
    assert environment["pinned"] == {"driver": [first], "haproxy": [last], "backend": sorted(backend)}
    assert environment["cores"] == len(CORES)
    assert f"HAProxy alone on core {last}, " in ended.summary.cores
    assert ended.summary.cores in " ".join(ended.out.split())


def test_without_pinning_every_part_may_use_every_core(tmp_path: Path) -> None:
    command = start(tmp_path / "run", load__hold="2s")
    command.reach(Phase.HOLD)
    found = [affinity(command.child(*words)) for words in PARTS]
    ended = command.end()
    assert found == [set(CORES)] * 3
    assert ended.summary.cores.startswith("driver, HAProxy and backend share ")


@pytest.mark.parametrize(
    ("cpus", "told"),
    [
        ("4000", "haproxy.cpus: core 4000 cannot be used here; this machine has core"),
        ("1-", 'haproxy.cpus: "1-" is no list of cores; write "1", "2-3" or "0,2-3"'),
        ("3-1", 'haproxy.cpus: "3-1" does not ascend; write "1", "2-3" or "0,2-3"'),
    ],
)
@pytest.mark.parametrize("verb", ["check", "run"])
def test_cores_that_cannot_be_had_are_one_line(
    verb: str,
    cpus: str,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = invoke(capsys, verb, "quickstart-cell", f"--set=haproxy.cpus={cpus}")
    assert said.code == ExitCode.INVALID_CONFIG
    (line,) = said.err.splitlines()
    assert told in line
    assert list(tmp_path.iterdir()) == []
