"""A ``haproxy.cfg`` as its user wrote it: sections, what they inherit, and which way requests go. Pure text.

Rules of the language: configuration manual, sections 2.2 (quoting), 2.3 (variables), 2.4 (conditional blocks)
and 4 (which ``defaults`` a proxy inherits). It reads any text without an error: to reject is HAProxy's part.
"""

from collections.abc import Mapping

import msgspec

from wsload.haproxy.cfg_lines import Conditions, Line, split_words
from wsload.haproxy.cfg_routes import Route, routes_of
from wsload.haproxy.cfg_sections import BACK_KINDS, FRONT_KINDS, Section, SectionKind

_OTHER_SECTIONS = (
    "acme cache crt-store fcgi-app http-errors log-forward log-profile mailers peers program resolvers ring "
    "traces userlist"
)
_KIND_OF = {kind.value: kind for kind in SectionKind if kind is not SectionKind.OTHER} | dict.fromkeys(
    _OTHER_SECTIONS.split(), SectionKind.OTHER
)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file."""

    sections: tuple[Section, ...]
    routes: tuple[Route, ...]
    unknown_conditions: tuple[int, ...]
    """Lines of ``.if`` that only HAProxy can decide; all their branches were read as if active."""

    def of(self, *kinds: SectionKind) -> tuple[Section, ...]:
        """Sections of these kinds, in the file's order."""
        return tuple(section for section in self.sections if section.kind in kinds)

    def global_line(self, keyword: str) -> Line | None:
        """The line that counts, of all ``global`` sections."""
        lines = [found for part in self.of(SectionKind.GLOBAL) if (found := part.last(keyword))]
        return lines[-1] if lines else None


def read_config(text: str, environ: Mapping[str, str]) -> Config:
    """Read a file's text; variables come from ``environ`` and from the file's own ``setenv``."""
    sections: list[Section] = []
    conditions = Conditions()
    variables = dict(environ)
    for number, source in enumerate(text.split("\n"), start=1):
        words, code = split_words(source, variables)
        if not words or conditions.take(number, words) or not conditions.active:
            continue
        if words[0] in _KIND_OF:
            sections.append(_open_section(number, words, sections))
        elif sections:
            current = sections[-1]
            line = Line(
                number=number,
                text=code,
                words=tuple(words),
                section=current.label,
                section_line=current.line,
            )
            sections[-1] = msgspec.structs.replace(current, lines=(*current.lines, line))
            _set_variable(words, variables)
    return Config(
        sections=tuple(sections),
        routes=tuple(routes_of(sections)),
        unknown_conditions=tuple(conditions.unknown),
    )


def _open_section(number: int, words: list[str], before: list[Section]) -> Section:
    kind = _KIND_OF[words[0]]
    name = words[1] if len(words) > 1 and words[1] != "from" else ""
    parent: Section | None = None
    all_defaults = [section for section in before if section.kind is SectionKind.DEFAULTS]
    if "from" in words[1:-1]:
        origin = words[words.index("from", 1) + 1]
        parent = next((section for section in all_defaults if section.name == origin), None)
    elif kind in (*FRONT_KINDS, *BACK_KINDS):
        parent = all_defaults[-1] if all_defaults else None
    return Section(
        kind=kind,
        name=name,
        line=number,
        label=f"{words[0]} {name}".strip(),
        parent=parent,
        lines=parent.lines if parent is not None else (),
    )


def _set_variable(words: list[str], variables: dict[str, str]) -> None:
    if len(words) == 3 and words[0] == "setenv":
        variables[words[1]] = words[2]
    elif len(words) == 3 and words[0] == "presetenv":
        variables.setdefault(words[1], words[2])
