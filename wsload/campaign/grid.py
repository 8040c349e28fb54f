"""A campaign's file to its cells: which profile, with which values, in which folder.

Every cell's profile is read here, so that a wrong axis fails before any traffic.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from wsload.errors import ProfileError
from wsload.profile.load import LoadedProfile, load_profile, read_text, read_toml
from wsload.profile.model import Via
from wsload.profile.overrides import FLAG, value_of
from wsload.profile.shipped import resolve
from wsload.profile.values import count, nearest, non_empty_text, shown, text, truth
from wsload.record import layout
from wsload.units import UnitError

KEYS = ("title", "description", "profile", "repeat", "parallel", "control", "set", "grid")
MOST_AXES = 2

T = TypeVar("T")

_PROFILE_KEYS = ("target", "haproxy", "backend", "load", "cohort", "slo", "expect")
_REPEAT = count(1, most=1000)
_UNSAFE = re.compile(r"[^A-Za-z0-9._=,%+-]+")

Axis = tuple[str, tuple[str, ...]]
"""A profile's key, and its values as text."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's file, read and checked."""

    title: str
    description: str
    path: Path
    text: str
    """The campaign's file, verbatim."""
    profile_path: Path
    profile_text: str
    """The profile's file, verbatim."""
    repeat: int
    parallel: bool
    """Run cells at once that differ in HAProxy's timers alone."""
    control: bool
    """Run the same without HAProxy too."""
    overrides: tuple[str, ...]
    """``[set]``, then the caller's ``--set``, as ``KEY=VALUE`` for every cell."""
    axes: tuple[Axis, ...]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a campaign."""

    index: int
    values: dict[str, str]
    """Each axis' key -> this cell's value, in the order of the axes; a control has none of HAProxy's."""
    repeat: int
    """Which repetition this is, from 1."""
    overrides: tuple[str, ...]
    """All ``KEY=VALUE`` of this cell: the campaign's, then the axes'."""
    folder: str
    """Name of the run's folder: ``tunnel=2s``, ``tunnel=2s,client=30s``, ``tunnel=2s,run=2``."""
    loaded: LoadedProfile
    is_control: bool = False
    """It bypasses HAProxy, and is no point of the grid."""


def load_campaign(path: Path, overrides: Sequence[str] = ()) -> Campaign:
    """Read a campaign's file. ``overrides`` (``KEY=VALUE``) hold for every cell, over the file's ``[set]``.

    Raises:
        ProfileError: The file, its profile or its grid cannot be used. What only a cell can show (a value
            that its axis' key refuses) is raised by :func:`cells`.
    """
    where, content = str(path), read_text(path)
    raw = read_toml(content, where)
    for key in raw:
        if key not in KEYS:
            in_profile = 'write it under [set], or run a profile with "wsload run"'
            fix = in_profile if key in _PROFILE_KEYS else nearest(key, KEYS)
            raise ProfileError(where, key, "is no key of a campaign", fix)
    profile_path = _profile_path(where, raw, path.parent)
    fixed = tuple(_override(where, f"set.{key}", key, value) for key, value in _flat(where, raw, "set"))
    try:
        load_profile(profile_path, fixed)
    except ProfileError as error:
        if error.where == FLAG:
            raise ProfileError(where, f"set.{error.key}", error.problem, error.fix) from None
        raise
    return Campaign(
        title=_read(where, raw, "title", non_empty_text, path.stem),
        description=_read(where, raw, "description", text, ""),
        path=path,
        text=content,
        profile_path=profile_path,
        profile_text=read_text(profile_path),
        repeat=_read(where, raw, "repeat", _REPEAT, 1),
        parallel=_read(where, raw, "parallel", truth, False),
        control=_read(where, raw, "control", truth, False),
        overrides=(*fixed, *overrides),
        axes=_axes(where, raw),
    )


def cells(campaign: Campaign) -> list[Cell]:
    """Every run of the campaign: the first axis outermost, and the whole grid once before it is repeated.

    So the repetitions of a cell are far apart, and a drift of the machine does not look like a difference
    between cells. The control arm, if there is one, comes last.

    Raises:
        ProfileError: An override or a cell makes the profile wrong; names the campaign's file and the axis.
    """
    load_profile(campaign.profile_path, campaign.overrides)
    keys = [key for key, _ in campaign.axes]
    grid = list(itertools.product(*(values for _, values in campaign.axes)))
    made: list[Cell] = []
    for run in range(1, campaign.repeat + 1):
        for combination in grid:
            values = dict(zip(keys, combination, strict=True))
            overrides = (*campaign.overrides, *(f"{key}={value}" for key, value in values.items()))
            try:
                loaded = load_profile(campaign.profile_path, overrides)
            except ProfileError as error:
                raise _blamed(campaign, values, error) from None
            folder = _folder(values) + (f",run={run}" if campaign.repeat > 1 else "")
            if any(folder == cell.folder for cell in made):
                problem = f"{_told(values)} gives the folder of another cell, {folder}"
                raise ProfileError(str(campaign.path), "grid", problem, "write each value once")
            made.append(
                Cell(
                    index=len(made),
                    values=values,
                    repeat=run,
                    overrides=overrides,
                    folder=folder,
                    loaded=loaded,
                )
            )
    return made + (_controls(campaign, made) if campaign.control else [])


def _controls(campaign: Campaign, grid: Sequence[Cell]) -> list[Cell]:
    """The cells without HAProxy: one for each combination of the axes that are not HAProxy's."""
    for cell in grid:
        if cell.loaded.profile.target.via is not Via.HAPROXY:
            problem = f'is a run without HAProxy, and target.via = "{cell.loaded.profile.target.via.value}"'
            raise ProfileError(
                str(campaign.path), "control", problem, 'leave it out, or write target.via = "haproxy"'
            )
    made: dict[str, Cell] = {}
    for cell in grid:
        values = {key: value for key, value in cell.values.items() if not _is_haproxys(key)}
        folder = ",".join(filter(None, (layout.CONTROL, _folder(values))))
        if folder in made:
            continue
        # A timer that a cohort asks of HAProxy is HAProxy's.
        own_timers = [
            f"cohort.{cohort.name}.tunnel_timeout=none"
            for cohort in cell.loaded.profile.cohorts
            if cohort.tunnel_timeout_ns is not None
        ]
        others = (f"{key}={value}" for key, value in values.items())
        overrides = (*campaign.overrides, *others, *own_timers, "target.via=direct")
        try:
            loaded = load_profile(campaign.profile_path, overrides)
        except ProfileError as error:
            problem = f"cannot go without HAProxy: {error.key}: {error.problem}"
            raise ProfileError(str(campaign.path), "control", problem, error.fix) from None
        made[folder] = Cell(
            index=len(grid) + len(made),
            values=values,
            repeat=1,
            overrides=overrides,
            folder=folder,
            loaded=loaded,
            is_control=True,
        )
    return list(made.values())


def _is_haproxys(axis: str) -> bool:
    """Whether an axis' key means nothing where there is no HAProxy."""
    return axis.startswith("haproxy.") or axis.endswith(".tunnel_timeout")


def _blamed(campaign: Campaign, values: Mapping[str, str], error: ProfileError) -> ProfileError:
    """The cell's error, told of the axis that has it alone, or of the combination."""
    at = "" if error.where == FLAG else f"{error.key}: "
    for key, value in values.items():
        try:
            load_profile(campaign.profile_path, (*campaign.overrides, f"{key}={value}"))
        except ProfileError as alone:
            if alone.problem == error.problem:
                return ProfileError(str(campaign.path), f"grid.{key}", at + error.problem, error.fix)
    return ProfileError(
        str(campaign.path), f"grid, {_told(values)}", f"{error.key}: {error.problem}", error.fix
    )


def _profile_path(where: str, raw: Mapping[str, object], folder: Path) -> Path:
    if "profile" not in raw:
        raise ProfileError(where, "profile", "is missing", 'write profile = "mixed.toml"')
    name = _read(where, raw, "profile", non_empty_text, "")
    try:
        return resolve(name, relative_to=folder)
    except ProfileError as error:
        raise ProfileError(where, "profile", f'"{name}": {error.problem}', error.fix) from None


def _read(where: str, raw: Mapping[str, object], key: str, parse: Callable[[object], T], default: T) -> T:
    try:
        return parse(raw[key]) if key in raw else default
    except UnitError as error:
        raise ProfileError(where, key, error.problem, error.fix) from None


def _flat(where: str, raw: Mapping[str, object], name: str) -> Iterator[tuple[str, object]]:
    """Key and value of each entry. An unquoted ``load.hold`` is a nested table, and means the same."""
    table = raw.get(name, {})
    if not isinstance(table, dict):
        raise ProfileError(where, name, f"{shown(table)} is no table", f"write [{name}] and its keys below")
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", leaf) for inner, leaf in _flat(where, table, key))
        else:
            yield key, value


def _axes(where: str, raw: Mapping[str, object]) -> tuple[Axis, ...]:
    axes = []
    for key, values in _flat(where, raw, "grid"):
        path = f"grid.{key}"
        if not isinstance(values, list) or not values:
            raise ProfileError(where, path, f"{shown(values)} is no list of values", 'write ["2s", "5s"]')
        written = tuple(_as_text(where, path, value) for value in values)
        twice = [value for value in written if written.count(value) > 1]
        if twice:
            raise ProfileError(
                where, path, f'"{twice[0]}" is there twice', "use repeat = 2 to run cells again"
            )
        axes.append((key, written))
    if not 1 <= len(axes) <= MOST_AXES:
        example = '"haproxy.timeouts.tunnel" = ["2s", "5s"]'
        raise ProfileError(where, "grid", f"has {len(axes)} axes", f"write one or two, such as {example}")
    return tuple(axes)


def _override(where: str, path: str, key: str, value: object) -> str:
    """``KEY=VALUE`` that means ``value`` again; a text that would be read as something else keeps quotes."""
    written = _as_text(where, path, value)
    if isinstance(value, str) and value_of(value) != value:
        written = json.dumps(value)
    return f"{key}={written}"


def _as_text(where: str, path: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float | list):
        # JSON and TOML write these alike, as long as a list holds no tables.
        return json.dumps(value, ensure_ascii=False, default=str)
    raise ProfileError(where, path, f"{shown(value)} cannot be set", "write text, a number or a list")


def _told(values: Mapping[str, str]) -> str:
    return " and ".join(f"{key}={value}" for key, value in values.items())


def _folder(values: Mapping[str, str]) -> str:
    """Safe on every file system. Axes by the last part of their keys, or all of it where those are equal."""
    leaves = [key.rsplit(".", 1)[-1] for key in values]
    names = leaves if len(set(leaves)) == len(leaves) else list(values)
    parts = (f"{name}={value}" for name, value in zip(names, values.values(), strict=True))
    return _UNSAFE.sub("-", ",".join(parts))
