"""What the keys of a profile must be to each other. Each rule looks at one thing and yields what is wrong."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from wsload.profile.model import BackendMode, EndsWith, Match, Profile, Reconnect, Reply, Traffic, Via
from wsload.profile.plateaus import LEAST_JUDGED_INTERVALS, judge_ns, needed_plateau_ns, settle_words
from wsload.units import format_duration, haproxy_time

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


def _a_stated_timer_slack_is_below_the_lag_limit(profile: Profile, raw: Raw) -> Iterator[Breach]:
    slack_ns, limit_ns = profile.load.timer_slack_ns, profile.load.lag_limit_ns
    if _stated(raw, "load", "timer_slack") and slack_ns >= limit_ns:
        problem = f"{format_duration(slack_ns)} alone reaches load.lag_limit, {format_duration(limit_ns)}"
        yield Breach("load.timer_slack", problem, f'write less, such as "{haproxy_time(limit_ns // 5)}"')


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


_MISBEHAVIOURS = {
    "ends_after": "ends_after_ns",
    "ignore_fin": "ignore_fin",
    "upgrade_delay": "upgrade_delay_ns",
    "upgrade_missing": "upgrade_missing_share",
    "refuse": "refuse_share",
}
"""Keys that make the embedded backend misbehave -> their fields."""


def _only_the_embedded_backend_misbehaves(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    if profile.target.via is not Via.URL and profile.backend.mode is BackendMode.EMBEDDED:
        return
    what = 'target.via = "url"' if profile.target.via is Via.URL else 'backend.mode = "external"'
    for key, field in _MISBEHAVIOURS.items():
        if getattr(profile.backend, field):
            fix = "leave it out, or drive the embedded backend"
            yield Breach(f"backend.{key}", f"has no effect with {what}: that backend is not ours", fix)


_GOES_WITH = {
    "idle_close_share": ("idle_close", "30s"),
    "ends_with": ("ends_after", "30s"),
    "ends_share": ("ends_after", "30s"),
    "close_code": ("ends_after", "30s"),
    "refuse_status": ("refuse", "5%"),
}
"""Key of the backend -> the one it says more about, and an example of that."""


def _backend_keys_have_an_effect(profile: Profile, raw: Raw) -> Iterator[Breach]:
    for key, (other, example) in _GOES_WITH.items():
        if _stated(raw, "backend", key) and not _stated(raw, "backend", other):
            problem, fix = f"has no effect without {other}", f'write {other} = "{example}" beside it'
            yield Breach(f"backend.{key}", problem, fix)
    ends_with = profile.backend.ends_with
    if ends_with is not EndsWith.CLOSE and _stated(raw, "backend", "close_code"):
        problem = f'has no effect with ends_with = "{ends_with.value}", which sends no close frame'
        yield Breach("backend.close_code", problem, 'leave it out, or write ends_with = "close"')


def _shares_of_upgrade_requests_fit(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    if profile.backend.refuse_share + profile.backend.upgrade_missing_share > 1:
        problem = "with refuse it comes to more than all upgrade requests"
        yield Breach("backend.upgrade_missing", problem, 'write shares of at most "100%" together')


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
            ("gaps", "quiet"),
            ("ping_loss", "pinged"),
        ):
            if "traffic" not in cohort and key in cohort:
                path = f"cohort[{index}].{key}"
                yield Breach(path, "has no effect without traffic", f'write traffic = "{traffic}" beside it')


def _stamps_fit_and_come_back(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    echoes = profile.backend.reply is Reply.ECHO
    managed = profile.target.via is not Via.URL and profile.backend.mode is BackendMode.EMBEDDED
    for index, cohort in enumerate(profile.cohorts):
        if cohort.traffic not in (Traffic.CHATTY, Traffic.QUIET):
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
        if cohort.traffic is Traffic.CHATTY and cohort.rate_per_s is None and cohort.match is Match.NONE:
            yield Breach(
                f"{path}.rate",
                '"max" waits for each reply, and match = "none" sees none',
                'write match = "stamp" or "fifo", or a rate such as "5/s"',
            )


def _cohort_keys_have_an_effect(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    managed = profile.target.via is Via.HAPROXY
    for index, cohort in enumerate(profile.cohorts):
        path = f"cohort[{index}]"
        if cohort.ping_loss and cohort.traffic is not Traffic.PINGED:
            yield Breach(f"{path}.ping_loss", "only pinged cohorts send pings", 'write traffic = "pinged"')
        if cohort.reconnect is Reconnect.WHEN_DUE and cohort.traffic is not Traffic.QUIET:
            yield Breach(f"{path}.reconnect", "only quiet clients come back", 'write traffic = "quiet"')
        if cohort.has_turnover and cohort.traffic in _TURNING:
            key = "vanish" if cohort.vanish_per_s else "session"
            problem = f'has no place in a "{cohort.traffic.value}" cohort, whose clients end in their own way'
            yield Breach(f"{path}.{key}", problem, 'leave it out, or write traffic = "idle"')
        if cohort.tunnel_timeout_ns is not None and not managed:
            problem = f'is asked of the managed HAProxy, and target.via = "{profile.target.via.value}"'
            yield Breach(f"{path}.tunnel_timeout", problem, 'leave it out, or write via = "haproxy"')


def _plateaus_let_timers_fire(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    if profile.capacity is None:
        return
    interval_ns, judged_ns = profile.load.interval_ns, judge_ns(profile)
    least_ns = LEAST_JUDGED_INTERVALS * interval_ns
    if judged_ns < least_ns:
        problem = f"{format_duration(judged_ns)} is less than {LEAST_JUDGED_INTERVALS} intervals"
        fix = f'write judge = "{haproxy_time(least_ns)}", or a shorter load.interval'
        yield Breach("capacity.judge", f"{problem}, too few to tell whether a level is steady", fix)
    plateau_ns, needed_ns = profile.capacity.plateau_ns, needed_plateau_ns(profile)
    if plateau_ns is not None and plateau_ns < needed_ns:
        yield Breach(
            "capacity.plateau",
            f"{format_duration(plateau_ns)} is too short: it takes {settle_words(profile)}, and "
            f"{format_duration(judged_ns)} to judge",
            f'write plateau = "{haproxy_time(needed_ns)}" or more, or "auto"',
        )


def _a_search_has_a_bound(profile: Profile, _raw: Raw) -> Iterator[Breach]:
    if profile.capacity is not None and not profile.slos:
        problem = "a search needs an SLO that a level can break"
        yield Breach("capacity", problem, 'write [slo] and handshake_failed = ["rate<0.1%"] below it')
    if profile.capacity is not None and profile.expectations:
        cohort = profile.expectations[0].cohort
        problem = "an expectation is of one run, and a search offers many levels"
        yield Breach(f"expect.{cohort}", problem, "leave [expect] out, or [capacity]")


_TURNING = frozenset({Traffic.GHOST, Traffic.HALF_CLOSED, Traffic.STALLED, Traffic.RESET})


RULES: tuple[Rule, ...] = (
    _a_stated_timer_slack_is_below_the_lag_limit,
    _urls_go_with_via_url,
    _servers_go_with_external,
    _only_the_embedded_backend_misbehaves,
    _backend_keys_have_an_effect,
    _shares_of_upgrade_requests_fit,
    _cohorts_have_their_own_names,
    _some_share_is_above_zero,
    _traffic_is_stated_where_it_matters,
    _stamps_fit_and_come_back,
    _cohort_keys_have_an_effect,
    _a_search_has_a_bound,
    _plateaus_let_timers_fire,
)


def breaches(profile: Profile, raw: Raw) -> Iterator[Breach]:
    """Every broken rule, in order. ``raw`` is the TOML tree, to tell what was stated from a default."""
    for rule in RULES:
        yield from rule(profile, raw)
