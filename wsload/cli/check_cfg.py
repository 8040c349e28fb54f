"""``wsload check --haproxy-cfg FILE``: HAProxy's own check of a file, then what in it hurts WebSockets."""

import os
import textwrap
from pathlib import Path

from wsload.cli.views import say, text_width
from wsload.errors import ExitCode, HaproxyError
from wsload.haproxy.cfg_finding import Finding, Severity
from wsload.haproxy.cfg_findings import find, haproxy_findings, merged
from wsload.haproxy.cfg_reader import read_config
from wsload.haproxy.process import ask, find_binary, version
from wsload.plan.preflight import read_machine

_INDENT = "    "


def check_cfg(path: Path, binary: str = "haproxy") -> ExitCode:
    """Print all findings of a ``haproxy.cfg``; nothing is started and nothing is changed.

    PASSED where nothing is harmful; INVALID_CONFIG where HAProxy rejects the file or a finding is harmful. A
    rejected file is read on all the same: users, certificates and sockets may exist only where it belongs.
    Raises HaproxyError if the file cannot be read, or there is no such program.
    """
    text = _text(path)
    program = _program(binary)
    release = version(program)
    status, words = _asked(program, path)
    ours = find(read_config(text, os.environ), version=release, nofile_hard=read_machine().nofile_hard)
    findings = merged(haproxy_findings(status, words), ours)
    for finding in findings:
        say(describe(finding, path, text_width()))
    say(_conclusion(path, release, status, findings))
    harmful = status != 0 or any(finding.severity is Severity.HARMFUL for finding in findings)
    return ExitCode.INVALID_CONFIG if harmful else ExitCode.PASSED


def describe(finding: Finding, path: Path, width: int) -> str:
    """A finding as text: a line with its place, then what it does, then what to write."""
    where = f"{path}:{finding.line}" if finding.line else str(path)
    lines = [f"{where}  {finding.severity.value}  {finding.title}"]
    lines += textwrap.wrap(
        finding.effect,
        width,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if finding.fix is not None:
        fix = finding.fix
        written = ", ".join(f"`{line}`" for line in fix.lines)
        if not fix.lines:
            lines.append(f"{_INDENT}write: delete line {fix.at}")
        elif fix.replaces:
            lines.append(f"{_INDENT}write instead: {written}")
        else:
            where = f"below line {fix.at}, in {fix.place}" if fix.at else fix.place
            lines.append(f"{_INDENT}write {where}: {written}")
    return "\n".join(lines)


def _conclusion(path: Path, release: str, status: int, findings: list[Finding]) -> str:
    counts = [
        f"{count} {severity.value}"
        for severity in Severity
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    verdict = "accepts it" if status == 0 else "rejects it here; the rest was read all the same"
    return f"{path}: {', '.join(counts) or 'nothing found'}; HAProxy {release} {verdict}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise HaproxyError(
            f"--haproxy-cfg: {path}: cannot be read: {error.strerror}; name a haproxy.cfg"
        ) from error


def _program(binary: str) -> str:
    try:
        return find_binary(binary)
    except HaproxyError:
        raise HaproxyError(
            f'--haproxy-binary: no program "{binary}" found; type "sudo apt-get install haproxy", '
            "or --haproxy-binary PATH"
        ) from None


def _asked(program: str, path: Path) -> tuple[int, str]:
    """Exit status and words of ``haproxy -c -V``; stdout says no more than that all is well, or is not."""
    done = ask(program, "-c", "-V", "-f", str(path), setting="--haproxy-binary")
    speaks = done.returncode == 0 or "[ALERT]" in done.stderr
    return done.returncode, done.stderr if speaks else done.stderr + done.stdout
