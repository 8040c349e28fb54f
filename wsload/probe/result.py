"""The whole result of a probe, and its stable JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from wsload.errors import ExitCode
from wsload.probe.check import Check, Status
from wsload.probe.idle_finding import Finding, sentences
from wsload.probe.idle_plan import Outcome
from wsload.units import NS_PER_S

SCHEMA: Final = "wsload.probe/1"
"""Keys may be added; one that is here changes only with the number.

1: ``schema url passed interrupted exit_code checks[] idle``.
"""


@dataclass(frozen=True)
class ProbeResult:
    """Checks in their order, and the finding where one was asked for."""

    url: str
    checks: Sequence[Check]
    finding: Finding | None = None
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether no check failed, all were done, and an idle timer that was looked for could be measured."""
        checks_hold = all(check.status is not Status.FAILED for check in self.checks)
        return checks_hold and not self.interrupted and (self.finding is None or self.finding.measured)

    @property
    def exit_code(self) -> ExitCode:
        """0, 99 for a check that failed, 105 where it was cut short."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.PASSED if self.passed else ExitCode.SLO_FAILED


def to_json(result: ProbeResult) -> str:
    """One object, indented."""
    tree = {
        "schema": SCHEMA,
        "url": result.url,
        "passed": result.passed,
        "interrupted": result.interrupted,
        "exit_code": int(result.exit_code),
        "checks": [
            {
                "name": check.name,
                "status": str(check.status),
                "says": check.says,
                "hint": check.hint,
                "facts": check.facts,
            }
            for check in result.checks
        ],
        "idle": None if result.finding is None else _finding(result.finding),
    }
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode("utf-8")


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "verdict": str(finding.verdict),
        "bound_s": _seconds(finding.bound_ns),
        "timeout_s": _seconds(finding.timer_ns),
        "plus_minus_s": None if finding.timer_ns is None else _seconds(finding.plus_minus_ns),
        "ended_by": None if finding.fate is None else str(finding.fate),
        "heartbeat_survived_s": _seconds(finding.survived_ns),
        "heartbeat_died_s": _seconds(finding.died_ns),
        "client_alone_counts": finding.upstream_counts,
        "longest_silence_s": _seconds(finding.longest_silence_ns),
        "advised_heartbeat_s": _seconds(finding.advised_ns),
        "looks_like": [
            {"name": like.name, "timeout_s": _seconds(like.timer_ns), "source": like.source}
            for like in finding.looks_like
        ],
        "says": sentences(finding),
        "tunnels": [_outcome(outcome) for outcome in finding.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": str(outcome.trial.kind),
        "interval_s": _seconds(outcome.trial.interval_ns or None),
        "fate": str(outcome.fate),
        "age_s": _seconds(outcome.age_ns),
        "idle_s": _seconds(outcome.idle_ns),
        "longest_silence_s": _seconds(outcome.longest_silence_ns),
        "beats": outcome.beats,
        "sent_by_server": outcome.unasked,
        "close_code": outcome.close_code,
        "detail": outcome.detail,
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else round(ns / NS_PER_S, 4)
