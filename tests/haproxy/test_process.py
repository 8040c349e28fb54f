import stat
from pathlib import Path

import pytest

from wsload.errors import HaproxyError
from wsload.haproxy import process
from wsload.haproxy.process import alerts, check_config, find_binary, free_ports, version

REJECTED = """\
[NOTICE]   (7276) : haproxy version is 2.6.12-1+deb12u4
[NOTICE]   (7276) : path to executable is /usr/sbin/haproxy
[ALERT]    (7276) : config : parsing [c.cfg:15] : timer overflow in argument '25d' to 'timeout tunnel'
[ALERT]    (7276) : config : Error(s) found in configuration file : c.cfg
"""


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_only_the_alerts_are_shown_without_their_prefixes() -> None:
    assert alerts(REJECTED) == (
        "config : parsing [c.cfg:15] : timer overflow in argument '25d' to 'timeout tunnel'; "
        "config : Error(s) found in configuration file : c.cfg"
    )


def test_without_alerts_the_last_words_are_shown() -> None:
    assert alerts("a\nb\nc\nd\n") == "b; c; d"
    assert alerts("") == "it says nothing"


def test_a_missing_binary_is_refused_with_what_to_install() -> None:
    with pytest.raises(HaproxyError, match=r"apt-get install haproxy.*--set target\.via=direct"):
        find_binary("no-such-haproxy")


def test_a_binary_is_found_where_packages_put_it_though_a_users_path_leaves_that_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(process, "ADMIN_PATH", str(tmp_path))
    path = program(tmp_path, "exit 0")
    assert find_binary(Path(path).name) == path


def test_a_program_that_is_no_haproxy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HaproxyError, match="does not answer as HAProxy does"):
        version(program(tmp_path, "echo something 1.2.3"))


def test_a_program_that_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises(HaproxyError, match="cannot be run"):
        version(str(path))


def test_a_rejection_names_the_file_and_has_haproxys_words(tmp_path: Path) -> None:
    script = program(tmp_path, "echo '[ALERT]    (1) : config : no such thing' >&2; exit 1")
    with pytest.raises(HaproxyError, match=r"haproxy\.cfg: HAProxy rejects it: config : no such thing"):
        check_config(script, tmp_path / "haproxy.cfg")


def test_free_ports_are_all_different() -> None:
    assert len(set(free_ports(50))) == 50
