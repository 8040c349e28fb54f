"""What the command line refuses, before anything is sent."""

import pytest
from click.testing import CliRunner

from wsload.cli.probe import command
from wsload.errors import ExitCode, ProfileError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["http://host/"], 'URL: "http://host/" is no WebSocket URL; write "ws://host/"'),
        (["ws://host/", "--timeout", "5"], '--timeout: "5" has no unit; write "5s"'),
        (["ws://host/", "--timeout", "0"], '--timeout: "0" is too short'),
        (
            ["ws://host/", "--find-idle-timeout", "10ms"],
            '--find-idle-timeout: "10ms" is too short; write 1s or more',
        ),
        (["ws://host/", "--header", "Origin"], '--header: "Origin" has no colon'),
        (["ws://host/", "--header", "Upgrade: x"], '--header: "Upgrade" belongs to the handshake'),
        (["ws://host/", "--subprotocol", "a b"], '--subprotocol: "a b" is no subprotocol'),
    ],
)
def test_bad_input_is_one_line_with_what_to_type(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, ProfileError)
    assert str(result.exception).startswith(says)
    assert result.exception.exit_code is ExitCode.INVALID_CONFIG


def test_help_names_the_exit_codes() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert "99 one failed" in " ".join(text.split())
