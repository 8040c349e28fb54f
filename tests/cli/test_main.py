import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.invoke import invoke
from wsload.cli.main import group
from wsload.errors import ExitCode

HEAVY = ("numpy", "matplotlib", "rich", "hdrh", "uvloop")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["profiles"], ["--version"]])
def test_what_only_tells_something_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from wsload.cli import main\n"
        f"sys.argv = ['wsload', *{arguments}]\n"
        "try:\n    main()\n"
        "except SystemExit as ending:\n    assert not ending.code\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    said = invoke(capsys, "--help")
    assert said.code == ExitCode.PASSED
    for word in (*group.commands, "run", "campaign", "check", "report", "compare", "backend", "profiles"):
        assert word in said.out
    for code in ("99", "104", "105", "111"):
        assert code in said.out


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    said = invoke(capsys, "rum")
    assert said.code == ExitCode.USAGE
    assert "No such command 'rum'" in said.err


@pytest.mark.parametrize("name", ["WSLOAD_SET", "WSLOAD_CHECK_OVERRIDES"])
def test_variables_set_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "load.tunnels=321 load.workers=3")
    assert "321" in invoke(capsys, "check", "mixed").out


@pytest.mark.parametrize("name", ["WSLOAD_OUT", "WSLOAD_RUN_OUT"])
def test_a_variable_names_the_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(name, str(tmp_path / "file"))
    assert f"{tmp_path / 'file'}: cannot be written" in invoke(capsys, "run", "mixed").err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "wsload", "check", "mixed"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.PASSED, b"")
