"""Runs of ``wsload`` that a module's tests look at, several at a time: most of each is waiting."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from tests.e2e.command import Ended

AT_ONCE = 4

Play = Callable[[Path], Ended]
"""Carries a scenario out, its result in the given folder."""

_PLAYS: dict[tuple[str, str], Play] = {}
"""By the module's and the test's name."""

Test = TypeVar("Test", bound=Callable[..., None])


def scenario(play: Play) -> Callable[[Test], Test]:
    """The test's ``ended`` is what ``play`` came to."""

    def keep(test: Test) -> Test:
        _PLAYS[test.__module__, test.__name__] = play
        return test

    return keep


def _key(item: pytest.Item) -> tuple[str, str]:
    assert isinstance(item, pytest.Function)
    return item.module.__name__, item.originalname


@pytest.fixture(scope="module")
def playing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], "Future[Ended]"]]:
    """Starts the scenarios of all selected tests of the module."""
    base = tmp_path_factory.mktemp("runs")
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = [_key(item) for item in items if item.module is request.module and _key(item) in _PLAYS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {key: pool.submit(_PLAYS[key], base / key[1].removeprefix("test_")[:40]) for key in wanted}


@pytest.fixture
def ended(request: pytest.FixtureRequest, playing: dict[tuple[str, str], "Future[Ended]"]) -> Ended:
    """What the test's scenario came to; nothing may be left of any of them."""
    result = playing[_key(request.node)].result()
    result.assert_tidy()
    return result
