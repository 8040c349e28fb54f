"""Writes a result folder: whole files by temporary name and rename, growing ones by appending.

Whatever ends a run, what was written before stays readable.
"""

import contextlib
import csv
import itertools
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from wsload.errors import FolderError, RecordingError

DEFAULT_BASE = Path("results")
"""Where results go that were given no folder."""


def _default_names(title: str, now: datetime) -> Iterator[str]:
    """``20261122-100000-title``, then the same with a number behind it."""
    slug = re.sub(r"[^A-Za-z0-9_.=-]+", "-", title).strip("-.") or "run"
    stem = f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{slug[:100]}"
    return (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))


class FolderWriter:
    """A result folder being written. Every OSError becomes a RecordingError that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, IO[str]] = {}

    @classmethod
    def create(cls, path: Path) -> "FolderWriter":
        """Make the folder. Raises FolderError if it holds anything: results are never overwritten."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise FolderError(
                    f"{path}: is not empty, and results are never overwritten; name another --out"
                )
            probe = path / ".write-test"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _no_folder(path, error) from error
        return cls(path)

    @classmethod
    def create_default(cls, title: str, now: datetime, base: Path = DEFAULT_BASE) -> "FolderWriter":
        """Make ``base/20261122-100000-title``, or the next free name: two runs at once never share one."""
        for name in _default_names(title, now):
            path = base / name
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if not base.is_dir():
                    raise FolderError(f"{base}: is no folder; name another place with --out") from None
                continue
            except OSError as error:
                raise _no_folder(path, error) from error
            break
        return cls(path)

    def write(self, name: str, content: str | bytes) -> None:
        """A whole file, at once or not at all."""
        target = self.path / name
        temporary = target.with_name(f".{name}.new")
        try:
            temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise recording_error(target, error) from error

    def write_json(self, name: str, content: Any) -> None:
        """A whole file as indented JSON."""
        self.write(name, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")

    def append_json(self, name: str, line: msgspec.Struct) -> None:
        """One line of a JSON-lines file, flushed."""
        self.append_text(name, msgspec.json.encode(line).decode("utf-8") + "\n")

    def append_rows(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of a CSV file, flushed; the header comes with the first call."""
        try:
            is_new = name not in self._files
            file = self._open(name)
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerows(rows)
            file.flush()
        except OSError as error:
            raise recording_error(self.path / name, error) from error

    def replace_rows(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """A whole CSV file, at once or not at all; ``rows`` may come from the file that is replaced."""
        target = self.path / name
        temporary = target.with_name(f".{name}.new")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise recording_error(target, error) from error

    def append_text(self, name: str, text: str) -> None:
        """Text at the end of a file, flushed."""
        try:
            file = self._open(name)
            file.write(text)
            file.flush()
        except OSError as error:
            raise recording_error(self.path / name, error) from error

    def discard(self) -> None:
        """Remove the folder: nothing was measured."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Close what is open. A full disk is no news by now, and what could not be written is lost."""
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
        self._files.clear()

    def _open(self, name: str) -> IO[str]:
        if name not in self._files:
            self._files[name] = (self.path / name).open("a", encoding="utf-8", newline="")
        return self._files[name]


def _no_folder(path: Path, error: OSError) -> FolderError:
    return FolderError(f"{path}: cannot be written: {error.strerror}; choose another with --out")


def recording_error(path: Path, error: OSError) -> RecordingError:
    """What a write's OSError means to the user."""
    return RecordingError(
        f"{path}: cannot be written: {error.strerror}; make room, or choose another place with --out "
        "(what was recorded before is kept)"
    )
