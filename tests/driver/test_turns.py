"""Short turns on the CPU. Each case runs in a thread of its own, whose turns end with it."""

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from wsload.driver.turns import take_short_turns

KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def in_a_thread() -> tuple[bool, int, int]:
    """Whether turns were granted, the scheduling policy and the nice value after it."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            lambda: (take_short_turns(), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
        )
        return asked.result()


@pytest.mark.skipif(KERNEL < (6, 12), reason="the kernel has no turns to choose")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="known to be granted on x86_64")
def test_a_kernel_that_has_them_grants_them() -> None:
    granted, _, _ = in_a_thread()
    assert granted


def test_policy_and_nice_value_stay_as_they_are() -> None:
    _, policy, nice = in_a_thread()
    assert policy == os.sched_getscheduler(0)
    assert nice == os.getpriority(os.PRIO_PROCESS, 0)


def test_on_an_unknown_machine_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine="abacus"))
    granted, _, _ = in_a_thread()
    assert not granted
