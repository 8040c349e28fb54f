"""A campaign's recommendation in words: a paragraph for who decides, then rows for who sets the values."""

import math

from wsload.analysis.recommend import BUDGET, RESERVE, Expected, Point, Recommendation
from wsload.record.outcome import Limit
from wsload.report.capacity_wording import LIMIT_WORDS
from wsload.report.wording import Row
from wsload.units import NS_PER_S, format_count, format_duration, format_share, haproxy_time


def paragraph(advice: Recommendation) -> str:
    """What to set, and why; or why there is nothing to recommend."""
    if advice.timer_s is None:
        return f"No timeout tunnel to recommend: {advice.reason}."
    where = "".join(f" (with {axis} = {value})" for axis, value in advice.fixed.items())
    sentences = [f"Set timeout tunnel to {duration(advice.timer_s)}{where}."]
    if advice.expected:
        sentences += _consequences(advice, *advice.expected)
    sentences.append(_trust(advice))
    return " ".join(sentences)


def rows(advice: Recommendation) -> list[Row]:
    """The numbers under it."""
    if advice.timer_s is None:
        return [_measured_row(point) for point in advice.points]
    found = [Row("timeout tunnel", tuple(_interval(advice)))]
    for name, expected in zip(("recommended", "half of it", "twice of it"), advice.expected, strict=False):
        found.append(_expected_row(name, expected))
    found += [*_settings_rows(advice), *(_measured_row(point) for point in advice.points)]
    return found


def config_lines(advice: Recommendation) -> list[str]:
    """Lines for haproxy.cfg."""
    if advice.timer_s is None:
        return []
    lines = [
        f"timeout tunnel {_written(advice.timer_s)}",
        f"timeout client {_written(advice.client_s)}",
        f"timeout server {_written(advice.client_s)}",
        f"timeout client-fin {_written(advice.client_fin_s)}",
    ]
    if advice.maxconn:
        lines.append(f"maxconn {advice.maxconn}  # of the frontend; the global one must not be less")
    return lines


def duration(seconds: float) -> str:
    """To three digits: 68.5542 -> ``1m9s``, 3.9030 -> ``3.9s``."""
    return format_duration(float(f"{seconds:.3g}") * NS_PER_S)


def _written(seconds: float) -> str:
    return haproxy_time(round(seconds * NS_PER_S))


def _consequences(
    advice: Recommendation, recommended: Expected, half: Expected, twice: Expected
) -> list[str]:
    slots = recommended.live + recommended.ghosts
    found = [
        f"HAProxy then holds about {format_count(recommended.capacity)} live tunnels within the SLO, and "
        f"{format_share(round(recommended.ghosts / slots, 3))} of its slots belong to clients that are gone."
        if recommended.ghosts >= 0.5
        else f"HAProxy then holds about {format_count(recommended.capacity)} live tunnels within the SLO."
    ]
    if advice.least_s is not None:
        found.append(
            f"Below {duration(advice.least_s)} it cuts quiet clients more often than the SLO allows "
            f"({', '.join(advice.slos)}), however few tunnels there are; at half the value, "
            f"{_about(half.cuts_per_hour)} times an hour."
        )
    lost = 1 - twice.capacity / recommended.capacity if recommended.capacity else 0.0
    if lost >= 0.005:
        found.append(
            f"Longer, it keeps slots for clients that are gone: at twice the value it holds "
            f"{format_count(twice.capacity)}, {format_share(round(lost, 3))} less."
        )
    return found


def _trust(advice: Recommendation) -> str:
    measured = [duration(point.timer_s) for point in advice.points]
    tried = f"Measured at {len(measured)} values from {measured[0]} to {measured[-1]}"
    differences = [abs(p.difference) for p in advice.points if p.difference is not None]
    if not differences:
        return f"{tried}; this profile has no model, so that is all there is to go by."
    beyond = "; the value itself lies outside of them" if advice.is_extrapolated else ""
    return f"{tried}, where the model is within {format_share(round(max(differences), 3))}{beyond}."


def _interval(advice: Recommendation) -> list[tuple[str, str]]:
    assert advice.timer_s is not None
    cells = [("", duration(advice.timer_s))]
    if not advice.expected:
        return cells
    least = duration(advice.least_s) if advice.least_s is not None else "any, no SLO bounds cuts"
    most = "a day and more" if advice.most_s is None else duration(advice.most_s)
    cells.append(("meets the SLO from", least))
    end = f", where {format_count(advice.least_level)} clients fill all slots" if advice.most_s else ""
    cells.append(("to", most + end))
    if advice.least_s is not None:
        times = f"{advice.timer_s / advice.least_s:.2g} times the shortest"
        cells.append(("margin", f"{times}, for {format_share(BUDGET)} of the cuts allowed"))
    return cells


def _expected_row(name: str, expected: Expected) -> Row:
    within = f"{format_count(expected.capacity)} live" if expected.capacity else "✗ SLO on cuts breaks"
    cells = [
        ("", duration(expected.timer_s)),
        ("within the SLO", within),
        ("cuts/h", format_count(expected.cuts_per_hour)),
        ("ghosts", format_count(expected.ghosts)),
        ("handshakes", f"{expected.handshakes_per_s:.3g}/s"),
    ]
    return Row(name, tuple(cells), grave=not expected.capacity)


def _settings_rows(advice: Recommendation) -> list[Row]:
    found = []
    pings = advice.pings
    if pings is not None and pings.interval_s is not None:
        survives = (
            f"{pings.may_be_lost} lost in a row, at {format_share(pings.loss)} loss, "
            f"{duration(pings.jitter_s)} jitter, {duration(pings.rtt_s)} round trip"
        )
        chance = f"{pings.accepted:.0e}".replace("e-0", "e-")
        every = duration(_rounded_down(pings.interval_s))
        cells = (("at most", every), ("survives", survives), ("chance of more", f"at most {chance}"))
        found.append(Row("ping interval", cells))
    elif pings is not None:
        found.append(Row("ping interval", (("", "none is safe: the timer is too short"),), grave=True))
    before = "they end at the 101, where timeout tunnel takes over"
    found.append(Row("timeout client, server", (("", duration(advice.client_s)), ("", before))))
    fin = "for half-closed tunnels; 3.x does not heed it in those of HTTP"
    found.append(Row("timeout client-fin", (("", duration(advice.client_fin_s)), ("", fin))))
    if advice.maxconn:
        per = f"{advice.slots_per_live:.3g} slots each and {format_share(RESERVE)} in reserve"
        live = f"{format_count(advice.wanted_live)} live tunnels"
        found.append(Row("maxconn", (("", format_count(advice.maxconn)), ("for", live), ("", per))))
    if advice.storm is not None:
        storm = advice.storm
        back = duration(storm.recovered_s) if storm.recovered_s is not None else "never within an hour"
        back_cells = (
            ("", f"all {format_count(storm.tunnels)} back in {back}"),
            ("peak", f"{format_count(storm.peak_arrivals_per_s)}/s"),
            ("accepting", f"{format_count(storm.accept_per_s)}/s"),
            ("", "simulated, with backoff from 1s, doubling to 30s, full jitter"),
        )
        found.append(Row("if all are cut at once", back_cells))
    return found


def _measured_row(point: Point) -> Row:
    low, high = format_count(point.live_low), format_count(point.live_high)
    cells = [("live at the limit", low if low == high else f"{low} to {high}")]
    if point.modelled is not None and point.difference is not None:
        cells += [("model", format_count(point.modelled)), ("", f"{100 * point.difference:+.1f}%")]
    bound = LIMIT_WORDS[Limit(point.limit)] if point.limit else "the search's end"
    cells.append(("", f"bound by {bound}" if point.meets_slo else f"✗ {bound}"))
    return Row(f"measured at {duration(point.timer_s)}", tuple(cells), grave=not point.meets_slo)


def _rounded_down(seconds: float) -> float:
    """So that the written interval is still a safe one."""
    per_second = 1 if seconds >= 10 else 10 if seconds >= 1 else 1000
    return math.floor(seconds * per_second) / per_second


def _about(count: float) -> str:
    """To two digits, as one says it."""
    return format_count(float(f"{count:.2g}"))
