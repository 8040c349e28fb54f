"""The profiles that come with wsload are found by name, and work."""

from pathlib import Path

import pytest

from wsload.errors import ProfileError
from wsload.profile.load import load_profile
from wsload.profile.shipped import describe, resolve, shipped_profiles

NAMES = [
    "capacity",
    "capacity-cell",
    "chatty",
    "idle",
    "keepalive",
    "keepalive-cell",
    "mixed",
    "quickstart",
    "quickstart-cell",
    "soak",
]
CAMPAIGNS = ("capacity", "keepalive", "quickstart")


def test_all_of_them_are_listed() -> None:
    assert list(shipped_profiles()) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CAMPAIGNS])
def test_each_profile_is_valid_titled_and_described(name: str) -> None:
    profile = load_profile(resolve(name)).profile
    assert describe(resolve(name)) == (profile.title, profile.description)
    assert profile.title == name
    assert profile.description
    assert profile.slos


def test_a_name_is_found_with_and_without_its_ending() -> None:
    assert resolve("idle") == resolve("idle.toml") == shipped_profiles()["idle"]


def test_a_file_comes_before_a_shipped_name(tmp_path: Path) -> None:
    own = tmp_path / "idle.toml"
    own.write_text("", encoding="utf-8")
    assert resolve("idle.toml", relative_to=tmp_path) == own
    assert resolve(str(own)) == own


def test_an_unknown_name_lists_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        resolve("zzz", relative_to=tmp_path)
    assert str(caught.value).endswith(f"no such file; name a file, or a shipped profile: {', '.join(NAMES)}")


def test_a_near_name_suggests_the_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match='did you mean the shipped profile "soak"'):
        resolve("soka.toml", relative_to=tmp_path)


def test_a_file_that_is_no_toml_is_described_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text("= =", encoding="utf-8")
    assert describe(path) == ("odd", "")
