"""A probe as text for a terminal. Everything here returns strings."""

import textwrap
from collections.abc import Sequence

from wsload.probe.check import Check, Status
from wsload.probe.idle_finder import Underway
from wsload.probe.idle_finding import Finding, sentences
from wsload.probe.result import ProbeResult
from wsload.units import format_duration

MARKS = {Status.PASSED: "✓", Status.FAILED: "✗", Status.INFO: "-", Status.SKIPPED: "·"}
_NAME_WIDTH = 8
_INDENT = " " * (2 + _NAME_WIDTH)


def check_text(check: Check, width: int) -> str:
    """One check: its mark, what was seen, and below it what that usually means."""
    skipped = "skipped: " if check.status is Status.SKIPPED else ""
    first = f"{MARKS[check.status]} {check.name:<{_NAME_WIDTH}}"
    return _block(first, [skipped + check.says, *([f"→ {check.hint}"] if check.hint else [])], width)


def finding_text(finding: Finding, width: int) -> str:
    """The idle timer, most important first."""
    mark = MARKS[Status.INFO] if finding.measured else MARKS[Status.FAILED]
    lines = sentences(finding)
    if finding.interrupted:
        lines.insert(1, "interrupted: what follows is what was known by then")
    return _block(f"{mark} {'idle':<{_NAME_WIDTH}}", lines, width)


def verdict_text(result: ProbeResult) -> str:
    """The last line."""
    if result.interrupted:
        return "interrupted"
    failed = [check.name for check in result.checks if check.status is Status.FAILED]
    if result.finding is not None and not result.finding.measured:
        failed.append("idle")
    return f"failed: {', '.join(failed)}" if failed else "all checks hold"


def progress_text(underway: Underway) -> str:
    """One line for a terminal while tunnels are watched."""
    seconds = format_duration(underway.elapsed_ns // 10**9 * 10**9)
    return (
        f"idle timers: {seconds} of up to {format_duration(underway.bound_ns)}, "
        f"round {underway.round_number}: {underway.open} tunnels watched, {underway.ended} over"
    )


def _block(first: str, lines: Sequence[str], width: int) -> str:
    blocks = [
        textwrap.fill(
            line,
            width,
            initial_indent=_INDENT if number else first,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(lines)
    ]
    return "\n".join(blocks)
