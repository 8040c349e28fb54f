"""``wsload`` as a user runs it: a process of its own, watched from outside, checked for what it leaves."""

import json
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from wsload.analysis.folder import RunFolder
from wsload.record import layout
from wsload.record.layout import ActionLine
from wsload.record.summary import Summary

PATIENCE_S = 40.0
"""How long anything here may take before the test gives up."""

BUSY_HOST = "so each waited for the others"
"""Of the reason that says so."""

SMALL = {
    "load.tunnels": "120",
    "load.ramp": "300ms",
    "load.hold": "1s",
    "load.drain": "400ms",
    "load.interval": "200ms",
    "load.workers": "1",
    "load.lag_limit": "10s",  # several runs share two cores here, and latency is not the point
}


MIXED = """
[[cohort]]
name = "idle"
share = 6

[[cohort]]
name = "chatty"
share = 3
traffic = "chatty"
rate = "2/s"
arrivals = "poisson"

[[cohort]]
name = "pinged"
share = 1
traffic = "pinged"
every = "300ms"

[slo]
handshake = ["p(99)<10s"]
handshake_failed = ["rate<0.1%"]
"echo_corrected{chatty}" = ["p(99)<10s"]
disconnect_unexpected = ["rate<0.1%"]
"""
"""All three kinds of traffic, talking enough for a hold of a second; bounds that a busy host keeps."""


def settings(values: dict[str, str]) -> list[str]:
    """``--set`` options: a small, short run, but for ``values``."""
    return [f"--set={key}={value}" for key, value in (SMALL | values).items()]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll until something is there, and return it."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE_S:g} s")


@dataclass
class Ended:
    """What a command came to, and what was found after it."""

    code: int
    out: str
    err: str
    folder: Path
    orphans: list[str] = field(default_factory=list)

    @property
    def summary(self) -> Summary:
        return msgspec.json.decode((self.folder / layout.SUMMARY).read_bytes(), type=Summary)

    @property
    def reasons(self) -> str:
        return "; ".join(self.summary.verdict.reasons)

    @property
    def faults(self) -> list[str]:
        """The verdict's reasons, but that this machine was busy: runs are tested at once, on few cores."""
        return [reason for reason in self.summary.verdict.reasons if BUSY_HOST not in reason]

    def actions(self, name: str) -> list[ActionLine]:
        return [action for action in RunFolder(self.folder).actions() if action.action == name]

    def assert_tidy(self) -> None:
        """No process, no socket, no temporary file, no traceback is left."""
        assert self.orphans == []
        left = [
            str(path)
            for path in self.folder.rglob("*")
            if path.name.endswith(".new") or path.name == ".write-test" or stat.S_ISSOCK(path.stat().st_mode)
        ]
        assert left == []
        assert "Traceback" not in self.err
        assert "Exception ignored" not in self.err


class Command:
    """One running ``wsload``."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        preexec: Callable[[], None] | None = None,
        shell: str | None = None,
    ) -> None:
        """``wsload ARGUMENTS``, or a whole ``shell`` line; output goes beside ``folder``."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._out, self._err = (folder.parent / f"{folder.name}.{end}" for end in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wsload", *arguments] if shell is None else ["bash", "-c", shell],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder.parent,
                start_new_session=True,
                preexec_fn=preexec,
            )
        self._seen: dict[int, psutil.Process] = {}

    def children(self, *words: str) -> list[psutil.Process]:
        """Its living descendants whose command line has all ``words``."""
        found = []
        try:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._seen[child.pid] = child
                if all(word in " ".join(child.cmdline()) for word in words):
                    found.append(child)
        except psutil.NoSuchProcess:
            pass
        return found

    def child(self, *words: str) -> psutil.Process:
        """The first such descendant, as soon as there is one."""
        found: psutil.Process = until(lambda: self.children(*words), f"a child {words}")[0]
        return found

    def reach(self, phase: str, intervals: int = 2) -> None:
        """Wait until so many intervals that end in ``phase`` are recorded."""
        until(lambda: self.process.poll() is not None or self._lines(phase) >= intervals, f"phase {phase}")
        assert self.process.poll() is None, self._err.read_text()
        self.children()

    def _lines(self, phase: str) -> int:
        try:
            lines = (self.folder / layout.SNAPSHOTS).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        return sum(line.endswith("\n") and json.loads(line)["phase"] == phase for line in lines)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end, and look for what it left running. Nothing outlives this call."""
        try:
            until(lambda: (self.children(), self.process.poll())[1] is not None, "the end of the command")
            gone_by_s = time.monotonic() + 3.0
            while (alive := self._alive()) and time.monotonic() < gone_by_s:
                time.sleep(0.02)
            return Ended(
                self.process.returncode,
                self._out.read_text(),
                self._err.read_text(),
                self.folder,
                [f"{child.pid} {child.status()}" for child in alive],
            )
        finally:
            self.process.kill()
            self.process.wait()
            for child in self._alive():
                child.kill()

    def _alive(self) -> list[psutil.Process]:
        return [
            child
            for child in self._seen.values()
            if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        ]


def run_arguments(folder: Path, profile: str = MIXED, **values: str) -> list[str]:
    """``run`` of a profile's text with a small load, its result in ``folder``; ``a__b`` sets ``a.b``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.toml"
    path.write_text(profile)
    given = settings({name.replace("__", "."): value for name, value in values.items()})
    return ["run", str(path), "--out", str(folder), "--no-plots", *given]


def start(folder: Path, *arguments: str, profile: str = MIXED, **values: str) -> Command:
    """Start :func:`run_arguments`."""
    return Command([*run_arguments(folder, profile, **values), *arguments], folder)
