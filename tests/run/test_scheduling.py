"""Our own process's cores while a run lasts."""

import os

import pytest

from wsload import children
from wsload.run.scheduling import giving_way, kept_to


def test_it_is_kept_to_these_cores_and_let_go_again() -> None:
    before = os.sched_getaffinity(0)
    with kept_to({min(before)}):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_it_is_let_go_whatever_ends_the_run() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), kept_to({min(before)}):
        raise KeyError
    assert os.sched_getaffinity(0) == before


def test_without_cores_nothing_changes() -> None:
    before = os.sched_getaffinity(0)
    with kept_to(()):
        assert os.sched_getaffinity(0) == before


def policy_of_a_child() -> int:
    """Of one that is started now."""
    child = children.start(["sleep", "60"])
    try:
        return os.sched_getscheduler(child.pid)
    finally:
        child.close()


def test_it_gives_way_while_the_run_lasts_and_its_children_do_not() -> None:
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    with giving_way():
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
        assert policy_of_a_child() == os.SCHED_OTHER
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_policy_that_was_chosen_for_it_stays() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        with giving_way():
            assert os.sched_getscheduler(0) == os.SCHED_BATCH
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
