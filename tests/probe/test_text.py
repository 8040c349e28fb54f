import json

import pytest

from tests.probe.made_path import idle_timer, search
from wsload.errors import ExitCode
from wsload.probe.check import Check, Status
from wsload.probe.idle_finder import Underway
from wsload.probe.idle_finding import Finding, Verdict, conclude
from wsload.probe.result import ProbeResult, to_json
from wsload.probe.text import check_text, finding_text, progress_text, verdict_text
from wsload.units import NS_PER_S

PASSED = Check("tcp", Status.PASSED, "connected")
FAILED = Check("upgrade", Status.FAILED, "503", "no server is up")
SKIPPED = Check("ping", Status.SKIPPED, "makes no sense without upgrade")
INFO = Check("echo", Status.INFO, "no echo")
BOUND_NS = 60 * NS_PER_S
UNMEASURED = Finding(Verdict.UNMEASURED, BOUND_NS, False, ())


def result(*checks: Check, finding: Finding | None = None, interrupted: bool = False) -> ProbeResult:
    return ProbeResult("ws://host/", checks, finding, interrupted)


def test_a_failed_check_has_its_mark_its_reason_and_what_that_means() -> None:
    assert check_text(FAILED, 80).splitlines() == ["✗ upgrade 503", "          → no server is up"]
    assert check_text(SKIPPED, 80).startswith("· ping    skipped: ")


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (result(PASSED, INFO), ExitCode.PASSED, "all checks hold"),
        (result(PASSED, FAILED, SKIPPED), ExitCode.SLO_FAILED, "failed: upgrade"),
        (result(PASSED, finding=UNMEASURED), ExitCode.SLO_FAILED, "failed: idle"),
        (result(PASSED, interrupted=True), ExitCode.INTERRUPTED, "interrupted"),
    ],
)
def test_the_verdict_and_the_exit_code_agree(given: ProbeResult, code: ExitCode, says: str) -> None:
    assert given.exit_code is code
    assert verdict_text(given) == says


def test_a_timer_found_is_no_failure() -> None:
    finding = conclude(search(idle_timer(5 * NS_PER_S), BOUND_NS)[0], BOUND_NS)
    assert result(PASSED, finding=finding).exit_code is ExitCode.PASSED


def test_lines_fit_the_width() -> None:
    finding = conclude(search(idle_timer(30 * NS_PER_S), BOUND_NS)[0], BOUND_NS, interrupted=True)
    text = finding_text(finding, 80)
    assert "interrupted: " in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_json_has_a_schema_and_every_tunnel() -> None:
    outcomes = search(idle_timer(30 * NS_PER_S), BOUND_NS)[0]
    tree = json.loads(to_json(result(PASSED, FAILED, finding=conclude(outcomes, BOUND_NS))))
    assert tree["schema"] == "wsload.probe/1"
    assert (tree["passed"], tree["exit_code"]) == (False, 99)
    assert [check["status"] for check in tree["checks"]] == ["passed", "failed"]
    assert tree["idle"]["timeout_s"] == 30.0
    assert len(tree["idle"]["tunnels"]) == len(outcomes)
    assert {"name", "timeout_s", "source"} == set(tree["idle"]["looks_like"][0])


def test_progress_says_how_far_it_is() -> None:
    underway = Underway(elapsed_ns=12_700_000_000, bound_ns=600 * NS_PER_S, round_number=1, open=20, ended=2)
    assert progress_text(underway) == ("idle timers: 12s of up to 10m, round 1: 20 tunnels watched, 2 over")
