"""The scale benchmark run for real, small, up to a number that this machine refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scale.py"


def test_a_series_measures_each_number_and_names_the_limit_that_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "40000k", "200", "--hold", "1s", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert json.loads((tmp_path / "scale.json").read_text()) == result
    assert (tmp_path / "scale.png").stat().st_size > 10_000
    small, refused = result["rows"]
    assert (small["tunnels"], small["opened"], small["lost"]) == (200, 200, 0)
    assert small["processes"] == {"parent": 1, "driver": 1, "haproxy": 1, "backend": 1}
    assert all(small["memory_bytes"][owner] > 0 for owner in ("driver", "haproxy", "backend"))
    assert small["cpu_cores"]["driver"] > 0
    assert refused["exit_code"] == 104
    assert "haproxy.processes" in refused["limits"][0]
    assert f"! 40,000,000 tunnels: {refused['limits'][0]}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"), [(["many"], 'argument N: "many" is no count'), (["1k", "--hold", "5"], "no unit")]
)
def test_what_cannot_be_read_is_told_in_a_line(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_a_result_is_added_to_and_never_written_over_unasked(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--hold", "1s", "--out", str(tmp_path)]
    subprocess.run([*command, "40000k"], capture_output=True, check=False)
    refused = subprocess.run([*command, "100"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--add" in refused.stderr
    added = subprocess.run([*command, "--add", "100"], capture_output=True, text=True, check=False)
    assert [row["tunnels"] for row in json.loads(added.stdout)["rows"]] == [100, 40_000_000]
