"""Micro-benchmarks do the work they are named for; how long it takes is nobody's business here."""

import subprocess
import sys
from pathlib import Path

import pyperf
import pytest

from benchmarks import micro

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("each", micro.MICROS, ids=[each.name for each in micro.MICROS])
def test_each_batch_does_all_its_units_time_after_time(each: micro.Micro) -> None:
    with each.ready() as batch:
        assert [batch(), batch(), batch()] == [each.units] * 3


def test_names_are_each_ones_own_so_that_results_can_be_compared() -> None:
    names = [each.name for each in micro.MICROS]
    assert len(set(names)) == len(names)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.micro", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_pyperf_keeps_the_chosen_ones_and_a_table_ends_the_output(tmp_path: Path) -> None:
    kept = tmp_path / "micro.json"
    done = run("--debug-single-value", "-o", str(kept), "one echo")
    assert done.returncode == 0, done.stderr
    chosen = ["frames: parse a read of one echo", "recorder: an interval of one echo"]
    assert pyperf.BenchmarkSuite.load(str(kept)).get_benchmark_names() == chosen
    assert [line.split("  ")[0].strip() for line in done.stdout.splitlines()[-2:]] == chosen


def test_a_name_that_none_has_is_answered_with_those_there_are() -> None:
    refused = run("frmaes")
    assert refused.returncode == 2
    message = refused.stderr.splitlines()[-1]
    assert "'frmaes' is in no benchmark's name" in message
    assert all(each.name in message for each in micro.MICROS)
