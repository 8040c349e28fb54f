"""Bad input through the command line: one line on stderr that says what to type, and exit code 104."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.invoke import invoke
from wsload.errors import ExitCode

SETTINGS = {
    "an unknown key": ("load.tunels=5", "load.tunels", "did you mean load.tunnels?"),
    "a missing unit": ("load.hold=5", "load.hold", '"5s"'),
    "a negative number": ("load.tunnels=-5", "load.tunnels", "5000"),
    "zero tunnels": ("load.tunnels=0", "load.tunnels", "write"),
    "zero hold": ("load.hold=0s", "load.hold", "write"),
    "no number": ("load.tunnels=many", "load.tunnels", "5000"),
    "an unknown word": ("target.via=haproxi", "target.via", "haproxy"),
    "no KEY=VALUE": ("load.tunnels", "load.tunnels", "="),
    "more tunnels than memory": ("load.tunnels=40000k", "does not fit this machine: ", "memory: "),
}

PROFILES = {
    "shares all zero": (
        '[[cohort]]\nname = "a"\nshare = 0\n[[cohort]]\nname = "b"\nshare = 0\n',
        "share",
        "write",
    ),
    "a TOML syntax error": ("[load]\ntunnels = = 5\n", "line 2, column 11", ""),
    "an unquoted unit": ("[load]\nhold = 5s\n", "line 2, column", 'hold = "5s"'),
    "an SLO on an unknown metric": ('[slo]\nhandshakes = ["p(99)<1s"]\n', "slo.handshakes", "handshake"),
    "an SLO on an unknown cohort": ('[slo]\n"ping_rtt{b}" = ["p(99)<1s"]\n', "slo.ping_rtt{b}", "idle"),
    "a percentile over 100": ('[slo]\nhandshake = ["p(101)<1s"]\n', "slo.handshake", "100"),
}

CAMPAIGNS = {
    "an axis that is no key": ('"haproxy.timeouts.tunel" = ["1s"]', "haproxy.timeouts.tunel", "tunnel?"),
    "a value its key refuses": ('"load.hold" = ["1s", "2"]', "grid.load.hold", '"2s"'),
    "no list": ('"load.hold" = "1s"', "grid.load.hold", "write ["),
}


def assert_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str, fix: str) -> None:
    said = invoke(capsys, *arguments)
    assert said.code == ExitCode.INVALID_CONFIG, said
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("wsload: ")
    assert told in line
    assert fix in line


@pytest.mark.parametrize("trouble", SETTINGS)
def test_a_setting_that_cannot_be_used_is_one_line(
    trouble: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting, told, fix = SETTINGS[trouble]
    out = tmp_path / "run"
    assert_refused(capsys, ["run", "mixed", "--set", setting, "--out", str(out)], told, fix)
    assert not out.exists()


def test_more_tunnels_than_ports_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["target.via=url", "target.url=ws://127.0.0.1:9/", 'target.sources=["127.0.0.1"]']
    options = [f"--set={setting}" for setting in (*settings, "load.tunnels=70k", "load.workers=40")]
    assert_refused(
        capsys,
        ["run", "mixed", *options],
        "local ports for each source and destination: 70,000 needed",
        "target.sources",
    )


def test_more_tunnels_than_descriptors_are_refused(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))

    command = [sys.executable, "-m", "wsload", "run", "mixed", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == ExitCode.INVALID_CONFIG
    (line,) = done.stderr.splitlines()
    assert "descriptors of each HAProxy process (2 x maxconn)" in line
    assert "400 there; type " in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("trouble", PROFILES)
def test_a_profile_that_cannot_be_used_is_one_line(
    trouble: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, told, fix = PROFILES[trouble]
    profile = tmp_path / "bad.toml"
    profile.write_text(text)
    assert_refused(capsys, ["run", str(profile)], told, fix)
    assert_refused(capsys, ["check", str(profile)], "bad.toml", fix)


@pytest.mark.parametrize("trouble", CAMPAIGNS)
def test_a_campaign_that_cannot_be_used_is_one_line(
    trouble: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axis, told, fix = CAMPAIGNS[trouble]
    campaign = tmp_path / "bad.toml"
    campaign.write_text(f'profile = "mixed"\n[grid]\n{axis}\n')
    assert_refused(capsys, ["campaign", str(campaign)], told, fix)


def test_an_unknown_profile_names_the_shipped_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(capsys, ["run", "nothing-like-it"], "nothing-like-it: no such file", "mixed")
    assert_refused(capsys, ["run", "mixd"], "mixd: no such file", 'did you mean the shipped profile "mixed"?')


def test_a_campaign_is_no_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(capsys, ["run", "quickstart"], "belongs to a campaign", "wsload campaign")


def test_what_all_cells_of_a_campaign_meet_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "haproxy.binary=nonesuch", "--out", str(tmp_path / "campaign"), "--no-plots"]
    said = invoke(capsys, "campaign", "quickstart", *options)
    assert said.code != ExitCode.PASSED
    (line,) = said.err.splitlines()
    assert line.startswith('wsload: tunnel=1s and 4 more: haproxy.binary: no program "nonesuch" found; type ')


@pytest.mark.parametrize("place", ["file", "file/below", "full"])
def test_a_folder_that_cannot_be_used_is_one_line(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "summary.json").touch()
    assert_refused(capsys, ["run", "mixed", "--out", str(tmp_path / place)], place, "--out")
    assert_refused(capsys, ["campaign", "quickstart", "--out", str(tmp_path / place)], place, "--out")


def test_a_folder_that_holds_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(capsys, ["report", str(tmp_path)], "holds no plan.json", "wsload run")
    assert_refused(capsys, ["report", str(tmp_path / "no")], "no such folder", "wsload run")
    assert_refused(capsys, ["compare", str(tmp_path), str(tmp_path)], "holds no plan.json", "wsload run")


def test_an_address_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(capsys, ["backend", "--listen", "8080"], '"8080" is no address', "127.0.0.1:8080")
    assert_refused(capsys, ["backend", "--idle-close", "5"], "--idle-close", '"5s"')
    assert_refused(capsys, ["backend", "--push-rate", "5"], "--push-rate", '"5/s"')


def test_a_usage_error_is_clicks_own(capsys: pytest.CaptureFixture[str]) -> None:
    said = invoke(capsys, "run")
    assert said.code == ExitCode.USAGE
    assert "Missing argument 'PROFILE'" in said.err


def test_check_says_what_it_would_do_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    said = invoke(capsys, "check", "mixed", "--set", "load.tunnels=300")
    assert said.code == ExitCode.PASSED
    assert "300" in said.out


def test_a_profile_is_copied_to_be_edited_and_never_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = invoke(capsys, "profiles", "--copy", "mixed")
    assert said.code == ExitCode.PASSED
    assert "wsload run mixed.toml" in said.out
    assert invoke(capsys, "check", "mixed.toml").code == ExitCode.PASSED
    assert_refused(capsys, ["profiles", "--copy", "mixed"], "mixed.toml: cannot be written", "move it away")
