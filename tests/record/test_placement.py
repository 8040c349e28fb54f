"""Who shared which cores, in words."""

from collections.abc import Mapping, Sequence

import pytest

from wsload.record.placement import core_words, sharing_words

ALL = ("driver", "haproxy", "backend")


@pytest.mark.parametrize(
    ("roles", "pinned", "host", "words"),
    [
        (ALL, {}, (0, 1), "driver, HAProxy and backend share 2 cores"),
        (("driver", "backend"), {}, (0,), "driver and backend share 1 core"),
        (("driver",), {}, (0, 1), "driver alone has 2 cores"),
        (
            ALL,
            {"driver": (0,), "haproxy": (1,), "backend": (0,)},
            (0, 1),
            "HAProxy alone on core 1, driver and backend share core 0",
        ),
        (
            ALL,
            {"driver": (0, 1), "haproxy": (3,), "backend": (2,)},
            (0, 1, 2, 3),
            "HAProxy alone on core 3, driver alone on cores 0-1, backend alone on core 2",
        ),
        (ALL, {"haproxy": (1,)}, (0, 1), "HAProxy on core 1, driver and backend on any of 2 cores"),
        (
            ALL,
            {"driver": (0,), "haproxy": (0, 1), "backend": (1,)},
            (0, 1),
            "HAProxy on cores 0-1, driver on core 0, backend on core 1",
        ),
        (ALL, dict.fromkeys(ALL, (0,)), (0,), "HAProxy, driver and backend share core 0"),
    ],
)
def test_sharing_in_words(
    roles: Sequence[str], pinned: Mapping[str, Sequence[int]], host: Sequence[int], words: str
) -> None:
    assert sharing_words(roles, pinned, host) == words


def test_neighbouring_cores_are_a_range() -> None:
    assert core_words((4,)) == "core 4"
    assert core_words((0, 1, 2, 5, 7, 8)) == "cores 0-2,5,7-8"
