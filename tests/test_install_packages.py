"""What ``.ci/install-packages`` does on a fresh machine: run for real, with made commands on its PATH."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "install-packages"


class FreshMachine:
    """A folder that is the whole PATH; what is installed on it is noted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._notes = folder, folder / "notes"
        for name in ("basename", "env", "sh"):
            (folder / name).symlink_to(str(shutil.which(name)))
        self.has("apt-get", f'echo "$@" >> {self._notes}')

    def has(self, name: str, body: str) -> None:
        """Put a command there."""
        path = self._folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def has_user(self, number: int) -> None:
        """Who runs the script."""
        self.has("id", f"echo {number}")

    def has_python(self, name: str, *, new_enough: bool = True, venv: bool = True) -> None:
        """An interpreter, as far as the script asks."""
        answers = {"version_info": new_enough, "ensurepip": venv}
        cases = "".join(f"*{word}*) exit {int(not yes)} ;;\n" for word, yes in answers.items())
        self.has(name, f"case $2 in\n{cases}esac")

    def runs(self, *needs: str) -> subprocess.CompletedProcess[str]:
        """The script, nobody watching."""
        return subprocess.run(
            ["sh", SCRIPT, *needs],
            env={"PATH": str(self._folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        """The packages, in order."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return [line.split()[-1] for line in lines if line.startswith("install ")]


@pytest.fixture
def machine(tmp_path: Path) -> FreshMachine:
    fresh = FreshMachine(tmp_path)
    fresh.has_user(0)
    return fresh


def test_what_is_there_is_not_installed(machine: FreshMachine) -> None:
    machine.has("haproxy", "exit 0")
    machine.has_python("python3")
    machine.has_user(1000)
    done = machine.runs("venv-of:python3", "haproxy:haproxy")
    assert (done.returncode, done.stdout, done.stderr, machine.installed) == (0, "", "", [])


def test_root_installs_what_is_missing(machine: FreshMachine) -> None:
    machine.has_python("python3", venv=False)
    done = machine.runs("venv-of:python3", "haproxy:haproxy")
    assert done.returncode == 0, done.stderr
    assert machine.installed == ["python3-venv", "haproxy"]
    assert done.stdout == ""


def test_a_named_python_gets_its_own_venv(machine: FreshMachine) -> None:
    machine.has_python("python3.12", venv=False)
    assert machine.runs("venv-of:python3.12").returncode == 0
    assert machine.installed == ["python3.12-venv"]


def test_a_user_installs_through_sudo(machine: FreshMachine) -> None:
    machine.has_user(1000)
    machine.has("sudo", 'test "$1" = -n || exec "$@"')
    assert machine.runs("haproxy:haproxy").returncode == 0
    assert machine.installed == ["haproxy"]


@pytest.mark.parametrize("sudo", ["missing", "refuses"])
def test_without_root_a_line_says_what_to_type_and_that_it_goes_without(
    machine: FreshMachine, sudo: str
) -> None:
    machine.has_user(1000)
    if sudo == "refuses":
        machine.has("sudo", "exit 1")
    done = machine.runs("haproxy:haproxy")
    assert done.returncode == 0
    said, without = done.stderr.splitlines()
    assert said == (
        "haproxy is missing and this is neither root nor sudo; type: su -c 'apt-get install -y haproxy'"
    )
    assert "--set target.via=direct" in without
    assert machine.installed == []


def test_without_root_a_missing_venv_ends_the_set_up(machine: FreshMachine) -> None:
    machine.has_user(1000)
    machine.has_python("python3", venv=False)
    done = machine.runs("venv-of:python3")
    assert done.returncode != 0
    assert "apt-get install -y python3-venv" in done.stderr


def test_a_python_that_is_too_old_is_refused_with_what_to_type(machine: FreshMachine) -> None:
    machine.has_python("python3", new_enough=False)
    done = machine.runs("venv-of:python3")
    assert done.returncode != 0
    assert "make PYTHON=python3.11" in done.stderr


def test_another_distribution_is_told_to_use_its_own_packages(machine: FreshMachine, tmp_path: Path) -> None:
    (tmp_path / "apt-get").unlink()
    done = machine.runs("haproxy:haproxy")
    assert "no Debian or Ubuntu" in done.stderr
