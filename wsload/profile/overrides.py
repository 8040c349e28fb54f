"""``--set KEY=VALUE``: put one value into a parsed TOML tree, at the place its dotted key names."""

import re
import tomllib
from collections.abc import Sequence

from wsload.errors import ProfileError
from wsload.profile.values import nearest

FLAG = "--set"
"""What an error names instead of a file when the value came from an override."""

_STEP = re.compile(r'(?:"([^"]+)"|([^."\[\]]+))(?:\[(\d+)\])?(?:\.|$)')

Table = dict[str, object]
Step = tuple[str, int | None]


def value_of(text: str) -> object:
    """A TOML value where the text is one (``5``, ``["a"]``, ``true``), else the bare text (``5s``)."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if list(parsed) == ["value"] else text


def split_override(override: str) -> tuple[str, str]:
    """``"load.hold=5s"`` -> ``("load.hold", "5s")``. Raises :class:`ProfileError`."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ProfileError(FLAG, "", f'"{override}" is no KEY=VALUE', f"write {FLAG} load.hold=30s")
    return key.strip(), text.strip()


def apply_overrides(tree: Table, overrides: Sequence[str]) -> tuple[str, ...]:
    """Put each ``KEY=VALUE`` into ``tree`` (which is changed), later ones over earlier ones.

    Returns:
        The paths set, as errors name them: ``cohort.chatty.rate`` is told as ``cohort[1].rate``.
    """
    paths = []
    for override in overrides:
        key, text = split_override(override)
        steps = _steps(key)
        *parents, (last, index) = steps
        node, path = tree, ""
        for name, position in _by_position(tree, parents):
            node, path = _descend(node, path, name, position, key)
        if index is not None:
            raise ProfileError(FLAG, key, "names a whole table", f"name a key in it, such as {key}.name")
        node[last] = value_of(text)
        paths.append(f"{path}.{last}" if path else last)
    return tuple(paths)


def _steps(key: str) -> list[Step]:
    steps: list[Step] = []
    at = 0
    while at < len(key):
        match = _STEP.match(key, at)
        if not match:
            raise ProfileError(FLAG, key, "is no key path", "write one such as load.hold or cohort[0].rate")
        quoted, plain, index = match.groups()
        steps.append((quoted or plain.strip(), int(index) if index is not None else None))
        at = match.end()
    return steps


def _by_position(tree: Table, parents: list[Step]) -> list[Step]:
    """``cohort.chatty`` as ``cohort[1]``: TOML has no such path, but it is what one wants to type."""
    if len(parents) != 2 or parents[0] != ("cohort", None):
        return parents
    name = parents[1][0]
    cohorts = tree.get("cohort")
    names = (
        [str(each.get("name")) for each in cohorts if isinstance(each, dict)]
        if isinstance(cohorts, list)
        else []
    )
    if name not in names:
        fix = nearest(name, names) if names else "the profile names no cohort"
        raise ProfileError(FLAG, f"cohort.{name}", f'unknown cohort "{name}"', fix)
    return [("cohort", names.index(name))]


def _descend(node: Table, path: str, name: str, position: int | None, key: str) -> tuple[Table, str]:
    path = f"{path}.{name}" if path else name
    if position is None:
        child = node.setdefault(name, {})
        if isinstance(child, list):
            raise ProfileError(FLAG, key, f"{path} is a list", f"say which one: {path}[0]")
    else:
        items = node.get(name)
        if not isinstance(items, list) or position >= len(items):
            length = len(items) if isinstance(items, list) else 0
            last = f"the last is {path}[{length - 1}]" if length else "the profile has none"
            raise ProfileError(FLAG, key, f"there is no {path}[{position}]", last)
        child = items[position]
        path = f"{path}[{position}]"
    if not isinstance(child, dict):
        raise ProfileError(FLAG, key, f"{path} is a value, not a table", f"set {path} itself")
    return child, path
