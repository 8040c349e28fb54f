"""Who shared which cores, from what a folder says of its host."""

from pathlib import Path

import pytest

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.host import host_words
from wsload.analysis.summary import summarise
from wsload.profile.load import load_profile
from wsload.record import layout


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"cores": 2}, "driver, HAProxy and backend share 2 cores"),
        ({"cores": 4, "shares_host": ["driver", "backend"]}, "driver and backend share 4 cores"),
        ({"cores": 1, "shares_host": ["driver"]}, "driver alone has 1 core"),
        (
            {"cores": 2, "core_ids": [4, 6], "pinned": {"driver": [4], "haproxy": [6], "backend": [4]}},
            "HAProxy alone on core 6, driver and backend share core 4",
        ),
        ({}, ""),
    ],
)
def test_the_shared_cores_are_told_from_the_environment(environment: dict[str, object], words: str) -> None:
    assert host_words(environment) == words


def test_the_summary_says_who_shared_the_cores(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    profile = load_profile(folder / layout.PROFILE).profile
    assert summarise(RunFolder(folder), profile).cores == "driver, HAProxy and backend share 2 cores"
    (folder / layout.ENVIRONMENT).unlink()
    assert summarise(RunFolder(folder), profile).cores == ""
