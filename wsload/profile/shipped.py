"""The profiles and campaigns that come with wsload: where they are, and how a name finds one."""

import sys
import tomllib
from difflib import get_close_matches
from pathlib import Path

from wsload.errors import ProfileError

_CHECKOUT = Path(__file__).resolve().parents[2] / "profiles"
_INSTALLED = Path(sys.prefix) / "share" / "wsload" / "profiles"


def shipped_profiles() -> dict[str, Path]:
    """Name without ``.toml`` -> file, sorted by name: beside the package in a checkout, else installed."""
    for folder in (_CHECKOUT, _INSTALLED):
        if found := {file.stem: file for file in folder.glob("*.toml")}:
            return dict(sorted(found.items()))
    return {}


def resolve(name_or_path: str | Path, relative_to: Path | None = None) -> Path:
    """The file that a user's word means: an existing path, or a shipped name with or without ``.toml``.

    Args:
        name_or_path: What was typed.
        relative_to: The folder that a relative path starts from; the working directory where None.

    Raises:
        ProfileError: Neither; lists the shipped names.
    """
    path = (relative_to or Path()) / name_or_path
    if path.is_file():
        return path
    shipped = shipped_profiles()
    name = str(name_or_path).removesuffix(".toml")
    if name in shipped:
        return shipped[name]
    raise missing_file_error(path)


def missing_file_error(path: Path) -> ProfileError:
    """There is no such file: suggests the shipped profile that was probably meant, or lists them all."""
    names = tuple(shipped_profiles())
    stem = path.name.removesuffix(".toml")
    near = get_close_matches(stem, names, n=1, cutoff=0.6)
    if near:
        fix = f'did you mean the shipped profile "{near[0]}"?'
    else:
        fix = f"name a file, or a shipped profile: {', '.join(names)}"
    problem = "is a folder" if path.is_dir() else "no such file"
    return ProfileError(str(path), "", problem, fix)


def describe(path: Path) -> tuple[str, str]:
    """Title and description of a profile or campaign, without judging the rest of it.

    Empty text for what is not there; a file that is no TOML has its stem as title.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return path.stem, ""
    return str(raw.get("title", path.stem)), str(raw.get("description", ""))
