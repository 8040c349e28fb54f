"""Our own process's cores while a run lasts."""

import os

import pytest

from wsload.run.affinity import kept_to


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
