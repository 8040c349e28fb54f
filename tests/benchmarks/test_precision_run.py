"""The precision benchmark for real, small; and what its backend notes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from struct import pack

import pytest
from websockets.frames import Frame, Opcode

from benchmarks.precision_stamps import read_stamps

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "precision.py"


def test_stamps_are_read_from_masked_frames_and_what_is_shorter_is_left_out() -> None:
    message = Frame(Opcode.BINARY, pack("<qq", 5, 7) + bytes(48)).serialize(mask=True)
    close = Frame(Opcode.CLOSE, pack(">H", 1000)).serialize(mask=True)
    assert read_stamps([message[2:22], close[2:22]]).tolist() == [[5, 7]]
    assert read_stamps([]).tolist() == []


@pytest.mark.e2e
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="keeps parts on two cores")
def test_every_message_of_a_run_is_seen_and_the_witness_tells_of_the_driver(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "shared", "--hold", "2s", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (result,) = json.loads(done.stdout)["results"]
    assert result["validity"] != "invalid", result
    assert 0.99 * result["sent"] <= result["noted"] <= result["sent"]
    assert result["sent"] == pytest.approx(2 * 4000, rel=0.02)
    assert result["wsload_lag_p99_ms"] == pytest.approx(result["lag_ms"]["p99"], rel=0.1)
    assert result["cpu_cores"]["driver"] > 0
    assert 0 < result["waited_share"] < 1
    assert (tmp_path / "precision-shared.png").stat().st_size > 10_000
    assert "lag p99, ms" in (tmp_path / "precision.txt").read_text()
