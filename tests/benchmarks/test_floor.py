"""The floor benchmark: what it tells of two clients, and its C client for real, small."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.floor import SOURCE, Cost, Round, arguments, build, figures, floor_once
from wsload.profile.load import parse_profile

PROFILE = """
title = "floor"
[load]
tunnels = 20
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = {rate}
payload = "64B"
"""
PACED, SATURATED = PROFILE.format(rate='"5/s"'), PROFILE.format(rate='"max"')


def cost(user_us: float, system_us: float, haproxy_us: float = 10.0) -> Cost:
    return Cost(1000.0, user_us, system_us, haproxy_us, 5.0, 0.1)


@pytest.mark.parametrize(("text", "rate"), [(PACED, "100.0"), (SATURATED, "0.0")])
def test_the_c_client_is_asked_for_the_profiles_load(text: str, rate: str) -> None:
    told = arguments(parse_profile(text, "test"), ("127.0.0.1", 8080), 1.5)
    assert told[:5] == ["127.0.0.1", "8080", "/ws", "20", rate]
    assert told[6:8] == ["1.5", "64"]


def test_what_the_kernel_takes_of_any_client_is_told_from_what_is_ours() -> None:
    found = figures([Round(cost(1.0, 6.0, 14.0), cost(5.0, 7.0), 4.0)])
    assert found["floor_client_us"] == 7.0
    assert found["wsload_client_us"] == 12.0
    assert found["kernel_share"] == 0.5
    assert found["driver_to_floor"] == pytest.approx(12 / 7)
    assert (found["floor_to_haproxy"], found["driver_to_haproxy"]) == (0.5, 1.2)


def test_figures_are_medians_so_that_one_odd_round_does_not_count() -> None:
    rounds = [Round(cost(0.0, 1.0), cost(0.0, ours_us), 1.0) for ours_us in (2.0, 3.0, 90.0)]
    assert figures(rounds)["wsload_client_us"] == 3.0


def test_without_a_compiler_it_says_what_to_type() -> None:
    script = SOURCE.with_suffix(".py")
    done = subprocess.run(
        [sys.executable, str(script)], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert 'no C compiler found; type "sudo apt-get install gcc libc6-dev"' in done.stderr


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(("text", "at_least", "at_most"), [(PACED, 30, 70), (SATURATED, 200, 1e9)])
def test_the_c_client_echoes_through_haproxy(
    text: str, at_least: float, at_most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.floor.WARMUP_S", 0.2)
    profile = parse_profile(text, "test")
    found, echoes_per_wake = asyncio.run(floor_once(build("cc", tmp_path), profile, 0.5, tmp_path))
    assert at_least <= found.echoes_per_s * 0.5 <= at_most
    assert found.user_us + found.system_us > 0
    assert 0 < echoes_per_wake <= 20
