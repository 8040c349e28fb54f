"""Which cells run at once, and what is said of the others."""

from pathlib import Path

import pytest

from tests.plan.machines import machine
from wsload.campaign.batches import at_once
from wsload.campaign.grid import cells, load_campaign
from wsload.plan.model import Machine

TUNNEL = '"haproxy.timeouts.tunnel" = ["1s", "2s", "4s"]'


def ordered(
    folder: Path, grid: str = TUNNEL, profile: str = "", *, extra: str = "", on: Machine | None = None
) -> tuple[list[list[str]], str]:
    (folder / "p.toml").write_text(f"[load]\ntunnels = 100\n{profile}")
    (folder / "c.toml").write_text(f'profile = "p.toml"\nparallel = true\n{extra}\n[grid]\n{grid}\n')
    campaign = load_campaign(folder / "c.toml")
    assert campaign.parallel
    batches, words = at_once(cells(campaign), on or machine())
    assert "\n" not in words
    return [[cell.folder for cell in batch] for batch in batches], words


def test_cells_that_differ_in_timers_alone_run_at_once(tmp_path: Path) -> None:
    grid = f'{TUNNEL}\n"haproxy.timeouts.client" = ["1s", "9s"]'
    batches, words = ordered(tmp_path, grid)
    assert [len(batch) for batch in batches] == [6]
    assert words == "parallel: 6 cells at once in one HAProxy process"


def test_a_cohorts_own_timer_is_a_timer_too(tmp_path: Path) -> None:
    cohort = '[[cohort]]\nname = "idle"\n'
    batches, _ = ordered(tmp_path, '"cohort.idle.tunnel_timeout" = ["1s", "2s"]', cohort)
    assert [len(batch) for batch in batches] == [2]


def test_another_axis_makes_a_batch_of_each_of_its_values(tmp_path: Path) -> None:
    batches, words = ordered(tmp_path, f'"load.tunnels" = [100, 200]\n{TUNNEL}')
    assert batches[1] == ["tunnels=200,tunnel=1s", "tunnels=200,tunnel=2s", "tunnels=200,tunnel=4s"]
    assert words == (
        "parallel: batches of 3 and 3 cells, each in one HAProxy process: load.tunnels differs, and cells "
        "that run at once may differ in HAProxy's timers alone"
    )


@pytest.mark.parametrize(
    "axis", ['"load.tunnels" = [100, 200]', '"haproxy.timeouts.hard-stop-after" = ["1s", "2s"]']
)
def test_where_another_axis_is_the_only_one_cells_run_one_after_another(tmp_path: Path, axis: str) -> None:
    batches, words = ordered(tmp_path, axis)
    assert [len(batch) for batch in batches] == [1, 1]
    name = axis.split('"')[1]
    assert words.startswith(
        f"parallel: cells run one after another: {name} differs, and cells that run at once "
    )


def test_repetitions_are_kept_apart(tmp_path: Path) -> None:
    batches, words = ordered(tmp_path, extra="repeat = 2")
    assert batches[0] == ["tunnel=1s,run=1", "tunnel=2s,run=1", "tunnel=4s,run=1"]
    assert len(batches) == 2
    assert words.endswith("repetitions are kept apart")


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ('[target]\nvia = "direct"', "without a managed HAProxy there is none to share"),
        ("[haproxy]\nprocesses = 2", "haproxy.processes is above 1"),
        ("[haproxy]\nport = 8080", "haproxy.port is fixed"),
        ("[haproxy]\nnofile = 500", "haproxy.nofile lets HAProxy work out its slots"),
        ('[haproxy]\nmemory = "64MiB"', "haproxy.memory bounds one process"),
        ("pin = true", "load.pin and haproxy.cpus give each run's parts their cores"),
        ('[haproxy]\ncpus = "1"', "load.pin and haproxy.cpus give each run's parts their cores"),
        ("[backend]\nport = 8080", "backend.port is fixed"),
        ('[backend]\nmode = "external"\nservers = ["10.0.0.1:80"]', 'backend.mode = "external"'),
        ('[[cohort]]\nname = "it"\ntraffic = "chatty"\nrate = "max"', 'CPU would mix: rate = "max"'),
    ],
)
def test_what_cannot_be_shared_is_named(tmp_path: Path, profile: str, why: str) -> None:
    batches, words = ordered(tmp_path, profile=profile)
    assert [len(batch) for batch in batches] == [1, 1, 1]
    assert words.startswith(f"parallel: cells run one after another: {why}")


def test_no_more_cells_at_once_than_descriptors_allow(tmp_path: Path) -> None:
    batches, words = ordered(tmp_path, profile="[haproxy]\nmaxconn = 4000", on=machine(nofile_hard=20_000))
    assert [len(batch) for batch in batches] == [2, 1]
    assert words == (
        "parallel: batches of 2 and 1 cells, each in one HAProxy process: 3 cells need 24,063 descriptors "
        "in one HAProxy process, and it may have 20,000 (ulimit -n)"
    )


@pytest.mark.parametrize(
    ("on", "why"),
    [
        (
            machine(file_max=1900),
            "cells need 2,200 descriptors of the host, and there are 1,900 (fs.file-max)",
        ),
        (machine(memory_available_bytes=400_000_000), "of memory, and 381.5MiB is there"),
    ],
)
def test_the_hosts_limits_count_too(tmp_path: Path, on: Machine, why: str) -> None:
    batches, words = ordered(tmp_path, on=on)
    assert max(len(batch) for batch in batches) < 3
    assert why in words


def test_a_load_that_would_mix_their_cpu_keeps_cells_apart(tmp_path: Path) -> None:
    chatty = '[[cohort]]\nname = "it"\ntraffic = "chatty"\nrate = "{}/s"'
    batches, words = ordered(tmp_path, profile=chatty.format(150), on=machine(cores=64))
    assert [len(batch) for batch in batches] == [2, 1]
    assert "CPU would mix: 3 cells would keep one HAProxy process busy for about " in words
    batches, words = ordered(tmp_path, profile=chatty.format(100), on=machine(cores=2))
    assert len(batches) > 1
    assert "would keep this host's 2 cores busy" in words


def test_a_control_runs_beside_the_cells_it_is_compared_with(tmp_path: Path) -> None:
    batches, words = ordered(tmp_path, extra="control = true")
    assert batches == [["tunnel=1s", "tunnel=2s", "tunnel=4s", "control"]]
    assert words == "parallel: 3 cells at once in one HAProxy process"
    batches, _ = ordered(tmp_path, f'"load.tunnels" = [100, 200]\n{TUNNEL}', extra="control = true")
    assert [batch[-1] for batch in batches] == ["control,tunnels=100", "control,tunnels=200"]
    batches, _ = ordered(tmp_path, f'"haproxy.maxconn" = [150, 250]\n{TUNNEL}', extra="control = true")
    assert [len(batch) for batch in batches] == [3, 4]
    batches, _ = ordered(tmp_path, '"load.tunnels" = [100, 200]', extra="control = true")
    assert [len(batch) for batch in batches] == [1, 1, 1, 1]


def test_a_control_is_one_for_each_value_of_the_axes_that_are_not_haproxys(tmp_path: Path) -> None:
    cohort = '[[cohort]]\nname = "idle"\ntunnel_timeout = "5s"\n'
    (tmp_path / "p.toml").write_text(f"[load]\ntunnels = 100\n{cohort}")
    grid = f'[grid]\n{TUNNEL}\n"load.hold" = ["1s", "2s"]\n'
    (tmp_path / "c.toml").write_text(f'profile = "p.toml"\ncontrol = true\n{grid}')
    controls = [cell for cell in cells(load_campaign(tmp_path / "c.toml")) if cell.is_control]
    assert [(cell.folder, cell.values, cell.index) for cell in controls] == [
        ("control,hold=1s", {"load.hold": "1s"}, 6),
        ("control,hold=2s", {"load.hold": "2s"}, 7),
    ]
    for cell in controls:
        assert cell.loaded.profile.target.via == "direct"
        assert cell.loaded.profile.cohorts[0].tunnel_timeout_ns is None
    assert controls[1].loaded.profile.load.hold_ns == 2_000_000_000
