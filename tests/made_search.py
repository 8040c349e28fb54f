"""A campaign's folder whose cells searched for capacity; figures follow the model up to a factor."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.made_folder import make_folder
from tests.made_tunnels import TIMERS_MS
from wsload.analysis.campaign import read_campaign
from wsload.analysis.capacity_file import CAPACITY_FACTS, search_facts
from wsload.analysis.knee import knee_of
from wsload.analysis.measured import read_searches
from wsload.analysis.model import Prediction, predict
from wsload.analysis.recommend import Recommendation, recommend
from wsload.profile.load import parse_profile
from wsload.profile.model import Profile
from wsload.profile.values import duration
from wsload.record import layout
from wsload.record.outcome import Limit
from wsload.record.summary import CapacityResult, Plateau, SloRow, Summary
from wsload.units import NS_PER_MS

TUNNEL = "haproxy.timeouts.tunnel"
CELL = """
title = "made-cell"
[haproxy]
maxconn = 1000
[load]
ramp = "1s"
handshake_timeout = "2s"
[[cohort]]
name = "quiet"
traffic = "quiet"
gaps = "exp(2s)"
reconnect = "when-due"
vanish = "3%/s"
[capacity]
from = 500
to = 1150
step = "bisect"
resolution = 20
[slo]
handshake_failed = ["rate<0.1%"]
disconnect_unexpected = ["rate<25%"]
"""
_STEP = 20


def make_search_campaign(
    path: Path,
    *,
    tunnels: Sequence[str] = ("500ms", "2s", "4s", "8s", "16s", "32s"),
    maxconns: Sequence[int] = (1000,),
    measured: float = 1.0,
    profile: str = CELL,
    repeats: int = 1,
) -> Path:
    """``measured`` is what cells found over what the model says. Two axes where ``maxconns`` are many."""
    path.mkdir(parents=True, exist_ok=True)
    is_grid = len(maxconns) > 1
    axes = [TUNNEL, *(["haproxy.maxconn"] if is_grid else []), *(["repeat"] if repeats > 1 else [])]
    rows = []
    for repeat in range(repeats):
        for tunnel in tunnels:
            for maxconn in maxconns:
                settings = {TUNNEL: tunnel, "haproxy.maxconn": maxconn}
                name = f"tunnel={tunnel},maxconn={maxconn},run={repeat + 1}"
                parsed = parse_profile(profile, name, tuple(f"{k}={v}" for k, v in settings.items()))
                found = searched(parsed, measured * (1 + 0.01 * repeat))
                _cell(path / name, profile, parsed, settings, found)
                values = {TUNNEL: tunnel, "haproxy.maxconn": maxconn, "repeat": repeat + 1}
                row = {axis: values[axis] for axis in axes}
                rows.append(row | {"validity": "valid", "run": name} | search_facts(found))
    with (path / layout.CAPACITY).open("w", newline="") as file:
        writer = csv.DictWriter(file, [*axes, *CAPACITY_FACTS], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def searched(profile: Profile, measured: float = 1.0) -> CapacityResult:
    """What a search would come to: a level below the limit held, unless none does, and the next failed."""
    said = predict(profile)
    assert profile.capacity is not None
    least, most = profile.capacity.least, profile.capacity.most
    fills = said.live_by_slots * measured / said.live_share
    held = min(int(fills) - _STEP // 2, most)
    plateaus = [_plateau(said, held, said.live_share * held, measured)] if held >= least else []
    if held < most:
        failed = _plateau(said, max(held + _STEP, least), said.live_by_slots * measured, measured)
        row = SloRow(metric="handshake_failed", assertion="rate<0.1%", value=0.02, passed=False)
        plateaus.append(
            msgspec.structs.replace(
                failed, passed=False, failed=90, slo_rows=[row], limit=Limit.MAXCONN, evidence="all slots"
            )
        )
    return knee_of(plateaus)


def _plateau(said: Prediction, level: int, live: float, measured: float) -> Plateau:
    cuts = SloRow(
        metric="disconnect_unexpected",
        assertion="rate<25%",
        value=0.1 if said.cuts_hold else 0.6,
        passed=said.cuts_hold,
    )
    return Plateau(
        level=level,
        opened_s=0.0,
        judged_s=10.0,
        end_s=15.0,
        live=live,
        slots=live * said.slots_per_live,
        ghosts=live * said.ghosts_per_live,
        peak_slots=round(live * said.slots_per_live / measured * 0.9),
        maxconn=1000,
        cuts_per_hour=said.cuts_per_live_s * 3600 * live,
        passed=said.cuts_hold,
        slo_rows=[cuts],
        limit="" if said.cuts_hold else Limit.TIMER,
    )


def _cell(
    path: Path, text: str, profile: Profile, settings: dict[str, object], found: CapacityResult
) -> None:
    timer_ms = duration("0s")(settings[TUNNEL]) // NS_PER_MS
    make_folder(
        path,
        cohorts={"quiet": 50},
        hold_s=5.0,
        maxconn=profile.haproxy.maxconn,
        timers_ms=TIMERS_MS | {"tunnel": timer_ms},
        settings=settings,
        title="made-cell",
    )
    (path / layout.PROFILE).write_text(text)
    summary = msgspec.json.decode((path / layout.SUMMARY).read_bytes(), type=Summary)
    summary.capacity = found
    summary.verdict.slo = "passed" if found.level else "failed"
    (path / layout.SUMMARY).write_bytes(msgspec.json.encode(summary))


def advised(folder: Path, **choices: Any) -> Recommendation:
    """What such a campaign recommends; ``choices`` as of :func:`make_search_campaign`."""
    made = make_search_campaign(folder, **choices)
    info, cells = read_campaign(made)
    advice = recommend(read_searches(made, cells), info)
    assert advice is not None
    return advice
