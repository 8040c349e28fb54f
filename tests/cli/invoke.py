"""The command line in this process: as fast as its work, with the same exit codes and output."""

import signal
import sys
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from wsload.cli import main


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


def invoke(capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run ``wsload ARGUMENTS``."""
    capsys.readouterr()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with patch.object(sys, "argv", ["wsload", *arguments]), pytest.raises(SystemExit) as ending:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    captured = capsys.readouterr()
    return Said(int(ending.value.code or 0), captured.out, captured.err)
