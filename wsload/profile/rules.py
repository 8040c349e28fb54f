"""What the keys of a profile must be to each other. Each rule looks at one thing and yields what is wrong."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from wsload.profile.model import BackendMode, Match, Profile, Reply, Traffic, Via

STAMP_BYTES = 16
"""A stamp is two 64-bit times: intended and sent."""

ALL_COHORTS = "all"

MOST_COHORTS = 255
"""A tunnel's cohort travels as one byte."""


class Breach(NamedTuple):
    """A broken rule: the dotted path to blame, what is wrong, what to write."""

    path: str
    problem: str
    fix: str


Raw = Mapping[str, object]
Rule = Callable[[Profile, Raw], Iterator[Breach]]


def _stated(raw: Raw, table: str, key: str) -> bool:
    inner = raw.get(table)
    return isinstance(inner, Mapping) and key in inner


def _urls_go_with_via_url(profile: Profile, raw: Raw) -> Iterator[Breach]:
    if profile.target.via is Via.URL and not profile.target.urls:
        yield Breach("target.url", 'via = "url" needs one', 'write url = "ws://host:port/path"')
    if profile.target.urls and not _stated(raw, "target", "via"):
        yield Breach("target.url", "has no effect without via", 'write via = "url" beside it')


def _servers_go_with_external(profile: Profile, raw: Raw) -> Iterator[Breach]:
    backend = profile.backend
    if backend.mode is BackendMode.EXTERNAL and not backend.servers:
        yield Breach("backend.servers", 'mode = "external" needs some', 'write servers = ["10.0.30.11:8080"]')
    if backend.mode is BackendMode.EXTERNAL and profile.target.via is Via.DIRECT:
        yield Breach(
            "backend.mode",
            'via = "direct" drives the embedded backend',
            'write mode = "embedded", or drive the servers with target.via = "url"',
        )
    if backend.servers and not _stated(raw, "backend", "mode"):
        yield Breach("backend.servers", "has no effect without mode", 'write mode = "external" beside it')


def _cohorts_have_their_own_names(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    seen: dict[str, int] = {}
    for index, cohort in enumerate(profile.cohorts):
        if cohort.name in seen:
            problem = f'"{cohort.name}" is the name of cohort[{seen[cohort.name]}] already'
            yield Breach(f"cohort[{index}].name", problem, f'write another, such as "{cohort.name}-{index}"')
        seen[cohort.name] = index
        if cohort.name == ALL_COHORTS:
            problem = f'"{ALL_COHORTS}" stands for all cohorts together in results'
            yield Breach(f"cohort[{index}].name", problem, 'write another, such as "everyone"')
    if len(profile.cohorts) > MOST_COHORTS:
        yield Breach("cohort", f"{len(profile.cohorts)} cohorts", f"use at most {MOST_COHORTS}")


def _some_share_is_above_zero(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    if not any(cohort.share for cohort in profile.cohorts):
        yield Breach("cohort[0].share", "the shares of all cohorts are zero", "write share = 1")


def _traffic_is_stated_where_it_matters(_profile: Profile, raw: Raw) -> Iterator[Breach]:
    """A cohort with a rate but no traffic would silently be idle."""
    cohorts = raw.get("cohort")
    for index, cohort in enumerate(cohorts if isinstance(cohorts, list) else ()):
        for key, traffic in (
            ("rate", "chatty"),
            ("payload", "chatty"),
            ("match", "chatty"),
            ("every", "pinged"),
            ("after", "ghost"),
        ):
            if "traffic" not in cohort and key in cohort:
                path = f"cohort[{index}].{key}"
                yield Breach(path, "has no effect without traffic", f'write traffic = "{traffic}" beside it')


def _stamps_fit_and_come_back(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    echoes = profile.backend.reply is Reply.ECHO
    managed = profile.target.via is not Via.URL and profile.backend.mode is BackendMode.EMBEDDED
    for index, cohort in enumerate(profile.cohorts):
        if cohort.traffic is not Traffic.CHATTY:
            continue
        path = f"cohort[{index}]"
        if cohort.match is Match.STAMP and cohort.payload_bytes < STAMP_BYTES:
            yield Breach(
                f"{path}.payload",
                f"{cohort.payload_bytes}B is too small for the stamp of {STAMP_BYTES}B",
                f'write payload = "{STAMP_BYTES}B" or more, or match = "fifo"',
            )
        if managed and not echoes and cohort.match is not Match.NONE:
            yield Breach(
                f"{path}.match",
                f'"{cohort.match.value}" needs a backend that echoes, and backend.reply = '
                f'"{profile.backend.reply.value}"',
                'write match = "none", or backend.reply = "echo"',
            )
        if cohort.rate_per_s is None and cohort.match is Match.NONE:
            yield Breach(
                f"{path}.rate",
                '"max" waits for each reply, and match = "none" sees none',
                'write match = "stamp" or "fifo", or a rate such as "5/s"',
            )


RULES: tuple[Rule, ...] = (
    _urls_go_with_via_url,
    _servers_go_with_external,
    _cohorts_have_their_own_names,
    _some_share_is_above_zero,
    _traffic_is_stated_where_it_matters,
    _stamps_fit_and_come_back,
)


def breaches(profile: Profile, raw: Raw) -> Iterator[Breach]:
    """Every broken rule, in order. ``raw`` is the TOML tree, to tell what was stated from a default."""
    for rule in RULES:
        yield from rule(profile, raw)
