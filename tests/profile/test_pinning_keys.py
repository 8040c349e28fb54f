"""``load.pin`` and ``haproxy.cpus``."""

import pytest

from wsload.errors import ProfileError
from wsload.profile.load import parse_profile


@pytest.mark.parametrize(
    ("written", "cores"),
    [
        ('"1"', (1,)),
        ("1", (1,)),
        ("0", (0,)),
        ('"2-4"', (2, 3, 4)),
        ('"7, 0,2-3 ,2"', (0, 2, 3, 7)),
    ],
)
def test_cores_are_read_as_taskset_writes_them(written: str, cores: tuple[int, ...]) -> None:
    assert parse_profile(f"[haproxy]\ncpus = {written}\n", "p.toml").haproxy.cpus == cores


@pytest.mark.parametrize(
    "written", ['""', '"a"', '"-1"', "-1", '"1-"', '"1,"', "true", "[1, 2]", "1.5", '"12345"', '"³"']
)
def test_what_is_no_list_of_cores_is_refused(written: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(f"[haproxy]\ncpus = {written}\n", "p.toml")
    assert "p.toml: haproxy.cpus: " in str(caught.value)
    assert str(caught.value).endswith('is no list of cores; write "1", "2-3" or "0,2-3"')


def test_pin_is_off_unless_asked_for() -> None:
    assert not parse_profile("", "p.toml").load.pin
    assert parse_profile("[load]\npin = true\n", "p.toml").load.pin
    with pytest.raises(ProfileError, match=r'load\.pin: "yes" is neither true nor false'):
        parse_profile('[load]\npin = "yes"\n', "p.toml")
