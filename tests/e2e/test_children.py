"""Child processes: what they said is kept, and none outlives its parent or its user."""

import asyncio
import os
import signal
import subprocess
import sys

import msgspec
import psutil
import pytest

from tests.e2e.command import until
from wsload import children
from wsload.children import PythonChild
from wsload.errors import ChildError

pytestmark = pytest.mark.e2e

PARENT = """
import sys, time
from wsload import children
child = children.start(["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


class Hello(msgspec.Struct, tag="hello"):
    """A message that nobody sends."""


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_child_ends_with_its_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    until(lambda: is_gone(pid), "the child's end")


def test_what_a_child_said_is_kept_in_memory() -> None:
    child = children.start(["sh", "-c", "echo out; echo err >&2; exit 3"])
    try:
        assert asyncio.run(child.wait(10))
        assert (child.returncode(), child.stderr_text()) == (3, "out\nerr\n")
    finally:
        child.close()


def test_a_stopped_child_is_ended_too() -> None:
    child = children.start(["sleep", "60"])
    child.signal(signal.SIGSTOP)
    child.close()
    child.close()
    assert child.returncode() == -signal.SIGKILL


def test_a_terminals_ctrl_c_does_not_reach_a_child() -> None:
    child = children.start(["sleep", "60"])
    try:
        assert os.getpgid(child.pid) != os.getpgid(0)
    finally:
        child.close()


def test_a_program_that_cannot_be_executed_leaves_nothing_open() -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match="No such file"):
        children.start(["/nowhere/program"])
    assert psutil.Process().num_fds() == before


def test_a_module_that_ends_instead_of_answering_is_told_with_its_last_words() -> None:
    before = psutil.Process().children()

    async def scene() -> None:
        child: PythonChild[Hello] = await PythonChild.spawn("wsload.nowhere", Hello, "driver worker 7")
        try:
            await child.expect()
        finally:
            child.close()

    with pytest.raises(
        ChildError, match=r"driver worker 7 ended unexpectedly \(status 1\): .*wsload.nowhere"
    ):
        asyncio.run(scene())
    assert psutil.Process().children() == before


def test_a_child_is_kept_to_its_cores_from_its_first_instruction() -> None:
    core = max(os.sched_getaffinity(0))
    code = "import os; print(os.sched_getaffinity(0))"
    child = children.start([sys.executable, "-c", code], cores=(core,))
    try:
        assert asyncio.run(child.wait(5.0))
        assert child.stderr_text() == f"{{{core}}}\n"
    finally:
        child.close()


def test_processes_are_dealt_out_over_cores_in_turn() -> None:
    assert [children.in_turn((3, 5), number) for number in range(3)] == [(3,), (5,), (3,)]
    assert children.in_turn((), 4) == ()
