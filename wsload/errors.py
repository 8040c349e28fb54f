"""Every error that wsload reports to its user, and the exit code each one ends with.

An error's text is one line that names the file, the key or flag, what was wrong and what to type.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process's exit status tells a script. The values follow k6 where it has one."""

    PASSED = 0
    USAGE = 2
    SLO_FAILED = 99
    INVALID_CONFIG = 104
    INTERRUPTED = 105
    INVALID_RESULT = 111


class WsloadError(Exception):
    """Base of all errors that reach the user as one line."""

    exit_code = ExitCode.INVALID_CONFIG


class ProfileError(WsloadError):
    """A profile, campaign or ``--set`` value that cannot be used."""

    def __init__(self, where: str, key: str, problem: str, fix: str) -> None:
        """``where`` is the file or flag, ``key`` the dotted path (may be empty), ``fix`` what to type."""
        self.where, self.key, self.problem, self.fix = where, key, problem, fix
        subject = ": ".join(part for part in (where, key, problem) if part)
        super().__init__(f"{subject}; {fix}" if fix else subject)


class PreflightError(WsloadError):
    """The machine cannot carry the plan; names the limit, the need, what there is and the remedy."""


class HaproxyError(WsloadError):
    """HAProxy is missing, rejects its configuration, or does not start."""


class HaproxyConfigError(HaproxyError):
    """HAProxy rejects its configuration; the text names the file, which is kept."""


class BackendError(WsloadError):
    """The embedded backend does not start."""


class FolderError(WsloadError):
    """A result folder cannot be created, read or understood."""


class RecordingError(WsloadError):
    """Results can no longer be written (disk full, folder gone). What was written before stays."""

    exit_code = ExitCode.INTERRUPTED


class ChildError(WsloadError):
    """A child process of ours ended or fell silent when it had to answer."""

    exit_code = ExitCode.INVALID_RESULT


class InterruptedRunError(WsloadError):
    """A signal ended the work before there was anything to report."""

    exit_code = ExitCode.INTERRUPTED
