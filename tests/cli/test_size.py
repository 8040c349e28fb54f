"""``wsload size`` at the command line: options, what is refused, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.sizing.test_calibration import measured
from tests.cli.invoke import Said, invoke
from wsload.errors import ExitCode


def said_json(said: Said) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_an_answer_that_fits_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    said = invoke(capsys, "size", "--tunnels", "10k")
    assert (said.code, said.err) == (ExitCode.PASSED, "")
    assert "10,000 tunnels at the peak" in said.out


def test_one_that_does_not_is_told_whole_and_ends_with_104(capsys: pytest.CaptureFixture[str]) -> None:
    said = invoke(capsys, "size", "--tunnels", "100k", "--nodes", "2")
    assert said.code == ExitCode.INVALID_CONFIG
    assert "DOES NOT FIT" in said.out
    (line,) = said.err.splitlines()
    assert line.startswith(
        "wsload: does not fit on 2 nodes: source ports toward the backends; type --nodes 5"
    )


def test_every_option_reaches_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "--tunnels 50k --timeout tunnel=10m --timeout client-fin=30s --timeout server=none --vanish 2%/min "
        "--half-close 1%/h --ping 25s --ping-from server --pong-timeout 10s --tcp-ut 40s --session 10m "
        "--active 20% --messages 2/s --tls --overlap 50% --reconnect-window 1m --nodes 40 --spare 2 "
        "--reserve 10% --memory 8GiB --nofile 100k --cores 4 --threads 3 --maxconn 9k --binds 2 --backends 5 "
        "--checks 5 --sources 2 --ports 20k --conntrack 1M --somaxconn 8192 --accept-rate 500/s "
        "--haproxy-version 2.6 --memory-per-tunnel 7KB --tls-memory 20KB --cpu-per-opening 200us "
        "--cpu-per-message 9us"
    )
    question = said_json(invoke(capsys, "size", "--json", *words.split()))["question"]
    assert question["fleet"] == {
        "tunnels": 50_000,
        "timeouts_ns": {
            "connect": 5_000_000_000,
            "client": 30_000_000_000,
            "tunnel": 600_000_000_000,
            "client-fin": 30_000_000_000,
        },
        "vanish_per_s": pytest.approx(0.02 / 60),
        "half_close_per_s": pytest.approx(0.01 / 3600),
        "ping_every_ns": 25_000_000_000,
        "ping_from": "server",
        "pong_timeout_ns": 10_000_000_000,
        "tcp_user_timeout_ns": 40_000_000_000,
        "session_ns": 600_000_000_000,
        "active_share": 0.2,
        "messages_per_s": 2.0,
        "tls": True,
        "reload_overlap": 0.5,
        "reconnect_window_ns": 60_000_000_000,
    }
    assert question["node"] == {
        "memory_bytes": 8 * 1024**3,
        "nofile": 100_000,
        "file_max": None,
        "cores": 4,
        "threads": 3,
        "maxconn": 9000,
        "binds": 2,
        "checks": 5,
        "sources": 2,
        "backends": 5,
        "ports": 20_000,
        "conntrack": 1_000_000,
        "somaxconn": 8192,
        "accept_per_s": 500.0,
    }
    costs = question["costs"]
    assert (costs["release"], costs["tunnel_bytes"], costs["tls_bytes"]) == ("2.6", 7000, 20_000)
    assert (costs["handshake_s"], costs["message_s"]) == (pytest.approx(2e-4), pytest.approx(9e-6))
    assert costs["origin"].startswith("partly given")
    assert (question["nodes"], question["spare"], question["reserve"]) == (40, 2, 0.1)


def test_this_machine_gives_the_limits_that_are_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    node = said_json(
        invoke(capsys, "size", "--tunnels", "10", "--this-machine", "--nofile", "77777", "--json")
    )["question"]["node"]
    assert node["nofile"] == 77_777
    assert node["memory_bytes"] > 10**6
    assert node["threads"] == node["cores"] >= 1


USAGE = {
    "no number of tunnels": ("", "Give --tunnels 10k, or --from FOLDER"),
    "tunnels that are no count": ("--tunnels 5x", '"5x" is no count'),
    "no tunnels": ("--tunnels 0", "write 1 or more"),
    "a rate without a time": ("--tunnels 5 --vanish 2%", 'write "2%/min"'),
    "a time without a unit": ("--tunnels 5 --ping 25", 'write "25s"'),
    "a time of zero": ("--tunnels 5 --session 0s", "write a time above 0"),
    "a share over all": ("--tunnels 5 --active 120%", 'write "0%" to "100%"'),
    "a reserve of everything": ("--tunnels 5 --reserve 100%", 'write "0%" to "95%"'),
    "a size without a unit": ("--tunnels 5 --memory 8", 'write "8B"'),
    "an unknown timer": ("--tunnels 5 --timeout tunel=5s", '"tunel=5s" names no timer'),
    "a timer without a unit": ("--tunnels 5 --timeout tunnel=5", 'write "5s"'),
    "a timer above HAProxy's limit": ("--tunnels 5 --timeout tunnel=25d", 'write "24d" or less'),
    "as many spare nodes as nodes": ("--tunnels 5 --nodes 2 --spare 2", "leaves none of --nodes 2"),
    "active tunnels without messages": ("--tunnels 5 --active 20%", "--active and --messages go together"),
    "a pong timeout without server pings": ("--tunnels 5 --pong-timeout 5s", "--ping-from server"),
    "server pings without a pace": ("--tunnels 5 --ping-from server", "Add --ping 25s"),
    "ghosts that no timer ends": (
        "--tunnels 5 --vanish 1%/h --timeout tunnel=none --timeout client=none --timeout server=none",
        "no timer ever frees the slot",
    ),
}


@pytest.mark.parametrize("trouble", USAGE)
def test_an_option_that_cannot_be_used_is_a_usage_error(
    trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = USAGE[trouble]
    said = invoke(capsys, "size", *words.split())
    assert said.code == ExitCode.USAGE, said
    assert said.out == ""
    line = said.err.splitlines()[-1]
    assert line.startswith("Error: ")
    assert told in line


def test_a_run_gives_costs_and_behaviour_and_options_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = measured(tmp_path / "run")
    question = said_json(invoke(capsys, "size", "--from", str(folder), "--json"))["question"]
    assert question["fleet"]["tunnels"] == 2000
    assert question["costs"]["tunnel_bytes"] == 7000
    question = said_json(
        invoke(capsys, "size", "--from", str(folder), "--tunnels", "9k", "--tls-memory", "9KB", "--json")
    )["question"]
    assert question["fleet"]["tunnels"] == 9000
    assert (question["costs"]["tunnel_bytes"], question["costs"]["tls_bytes"]) == (7000, 9000)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"partial": True}, "the run was cut short, its figures are no measure"),
        ({"verdict": {"validity": "invalid", "reasons": ["lag"]}}, "the run is not valid (lag)"),
    ],
)
def test_a_run_that_is_no_measure_is_refused_in_one_line(
    told: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = invoke(capsys, "size", "--from", str(measured(tmp_path / "run", said=told)))
    assert (said.code, said.out) == (ExitCode.INVALID_CONFIG, "")
    (line,) = said.err.splitlines()
    assert reason in line
    said = invoke(capsys, "size", "--from", str(tmp_path / "no"))
    assert (said.code, said.out) == (ExitCode.INVALID_CONFIG, "")
    assert "no such folder" in said.err
