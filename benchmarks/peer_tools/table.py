"""All tools by name, in the order of tables and plots."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peer_tools import artillery, k6, locust, tcpkali, tsung, wsload_tool
from benchmarks.peer_tools.base import Tool
from wsload.errors import WsloadError

OURS = wsload_tool.NAME
TOOLS: dict[str, Tool] = {
    module.TOOL.name: module.TOOL for module in (wsload_tool, locust, artillery, tsung, k6, tcpkali)
}
_INSTALL_TIMEOUT_S = 600.0
_VERSION_TIMEOUT_S = 60.0


def found(names: Sequence[str], tools: Path) -> dict[str, list[str]]:
    """The words that start each tool. What is only used where it is found may be missing, unless it is named.

    Args:
        names: Those asked for; none for all.
        tools: The folder of installed tools.

    Raises:
        WsloadError: Others are missing; it says what to type.
    """
    programs = {name: TOOLS[name].find(tools) for name in names or TOOLS}
    missing = [name for name, program in programs.items() if program is None]
    installable = [name for name in missing if TOOLS[name].install is not None]
    if installable:
        raise WsloadError(
            f"not installed in {tools}: {', '.join(installable)}; "
            f"add --install, or name the tools to compare: {', '.join(TOOLS)}"
        )
    if names and missing:
        raise WsloadError(f"not found on PATH: {', '.join(missing)}; put it there, or leave it out")
    return {name: program for name, program in programs.items() if program is not None}


def install_missing(names: Sequence[str], tools: Path) -> None:
    """Install what can be and is not there yet. Raises WsloadError if a command of it fails."""
    for name in names or TOOLS:
        tool = TOOLS[name]
        if tool.install is None or tool.find(tools) is not None:
            continue
        tools.mkdir(parents=True, exist_ok=True)
        for command in tool.install(tools):
            _run(name, command)


def _run(name: str, command: Sequence[str]) -> None:
    said = f'{name} is not installed: "{" ".join(command)}"'
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WsloadError(f"{said}: {error}; run it by hand") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise WsloadError(f"{said} fails: {' '.join(last)}; run it by hand")


def version_of(tool: Tool, program: Sequence[str]) -> str:
    """``2.0.34``; empty where it does not say: what is wrong with it shows when it is measured."""
    try:
        done = subprocess.run(
            [*program, *tool.version_arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return parse_version(tool.name, done.stdout + done.stderr)


def parse_version(name: str, words: str) -> str:
    """The number behind the tool's name, else the first."""
    after = re.search(rf"{name}\D{{0,20}}(\d+\.\d+(?:\.\d+)?)", words, re.IGNORECASE)
    match = after or re.search(r"(\d+\.\d+(?:\.\d+)?)", words)
    return match[1] if match else ""
