"""A plan in words, for ``wsload check``."""

import math
from collections.abc import Sequence

from wsload.plan.busyness import rate_per_s
from wsload.plan.model import Machine, Plan
from wsload.plan.pinning import parts_here
from wsload.plan.preflight import Check, memory_needed_bytes, sockets_per_tunnel
from wsload.profile.distributions import written
from wsload.profile.model import Arrivals, BackendMode, Capacity, Cohort, Reconnect, Traffic, Via
from wsload.profile.plateaus import most_levels, plateau_words
from wsload.record.placement import sharing_words
from wsload.units import NS_PER_S, format_count, format_duration, format_many, format_share, format_size


def describe_plan(plan: Plan, machine: Machine, checks: Sequence[Check]) -> list[str]:
    """Lines: who, how many, when, how much traffic, on what, and each check with ✓, ✗ or !."""
    lines = [
        _title(plan),
        _path(plan),
        *_cohorts(plan),
        _phases(plan),
        _traffic(plan),
        _processes(plan, machine),
        *_cores(plan),
    ]
    needs = memory_needed_bytes(plan)
    shares = ", ".join(f"{who} {format_size(needed)}" for who, needed in needs.items() if needed)
    lines.append(
        f"sockets: {format_count(plan.profile.load.tunnels * sockets_per_tunnel(plan))} on this host"
    )
    lines.append(f"memory: {format_size(sum(needs.values()))} in all: {shares}")
    return lines + [f"{_mark(check)} {check.text}" for check in checks]


def _mark(check: Check) -> str:
    if check.ok:
        return "✓"
    return "✗" if check.fatal else "!"


def _title(plan: Plan) -> str:
    profile = plan.profile
    about = f": {profile.description}" if profile.description else ""
    return f"{profile.title}{about}"


def _path(plan: Plan) -> str:
    profile = plan.profile
    haproxy, backend = profile.haproxy, profile.backend
    if profile.target.via is Via.URL:
        return f"path: straight to {', '.join(profile.target.urls)}"
    processes = format_many(backend.processes, "process")
    if profile.target.via is Via.DIRECT:
        return f"path: straight to the embedded backend ({processes}), without HAProxy"
    served_by = f"{processes}, {format_many(plan.backend_listeners, 'address')}"
    behind = (
        f"the embedded backend ({served_by})"
        if backend.mode is BackendMode.EMBEDDED
        else ", ".join(backend.servers)
    )
    timers = ", ".join(f"{name} {format_duration(ns)}" for name, ns in haproxy.timeouts_ns.items())
    maxconn = f"maxconn {format_count(haproxy.maxconn)} each"
    if haproxy.nofile is not None:
        limit = f"{format_count(haproxy.nofile)} descriptors"
        maxconn = f"{maxconn} and {limit}" if haproxy.maxconn else f"maxconn worked out from {limit} each"
    return (
        f"path: {format_many(haproxy.processes, 'HAProxy process')}, {maxconn}, "
        f"timeouts {timers or 'none'}; then {behind}"
    )


def _cohorts(plan: Plan) -> list[str]:
    tunnels = plan.profile.load.tunnels
    lines = [f"tunnels: {format_count(tunnels)}"]
    for cohort, count in zip(plan.profile.cohorts, plan.cohort_tunnels, strict=True):
        share = format_share(count / tunnels)
        behaviour = _behaviour(cohort) + _turnover(cohort)
        lines.append(f"  {cohort.name}: {format_count(count)} ({share}), {behaviour}")
    return lines


def _behaviour(cohort: Cohort) -> str:
    if cohort.traffic is Traffic.PINGED:
        return f"a ping each {format_duration(cohort.every_ns)}"
    if cohort.traffic is Traffic.QUIET:
        return f"{format_size(cohort.payload_bytes)} now and then, gaps {written(cohort.gaps)}"
    if cohort.traffic is Traffic.IDLE:
        return "silent"
    message = f"{format_size(cohort.payload_bytes)} messages"
    if cohort.rate_per_s is None:
        return f"{message}, the next when the reply is in"
    gap = format_duration(NS_PER_S / cohort.rate_per_s)
    return f"{message}, one each {gap}" + (
        " on average (Poisson)" if cohort.arrivals is Arrivals.POISSON else ""
    )


def _turnover(cohort: Cohort) -> str:
    """Who goes while the run lasts, and comes back."""
    parts = []
    if cohort.reconnect is Reconnect.WHEN_DUE:
        parts.append("who was cut comes back with its next message")
    if cohort.vanish_per_s:
        each, unit_s = ("second", 1) if cohort.vanish_per_s * 60 > 1 else ("minute", 60)
        share = format_share(cohort.vanish_per_s * unit_s)
        parts.append(f"{share} of those there vanish each {each} and are replaced")
    if cohort.session is not None:
        parts.append(f"each stays {written(cohort.session)} and is replaced")
    return "".join(f", {part}" for part in parts)


def _search(plan: Plan, capacity: Capacity) -> str:
    profile = plan.profile
    way = "by bisection" if capacity.step is None else f"in steps of {format_count(capacity.step)}"
    levels = most_levels(capacity)
    return (
        f"search: {format_count(capacity.least)} to {format_count(capacity.most)} tunnels {way}, at most "
        f"{format_many(levels, 'level')}; each opens over {format_duration(profile.load.ramp_ns)} and is "
        f"{plateau_words(profile)}; at most "
        f"{format_duration(profile.load.ramp_ns + profile.load.hold_ns)} in all"
    )


def _phases(plan: Plan) -> str:
    load = plan.profile.load
    if plan.profile.capacity is not None:
        return _search(plan, plan.profile.capacity)
    if load.ramp_ns:
        rate = load.tunnels * NS_PER_S / load.ramp_ns
        spread = "evenly" if load.arrivals is Arrivals.EVEN else "as a Poisson process"
        opening = f"open over {format_duration(load.ramp_ns)} ({format_count(rate)}/s, {spread})"
    else:
        opening = "open all at once"
    in_all = format_duration(load.ramp_ns + load.hold_ns + load.drain_ns)
    hold, drain = format_duration(load.hold_ns), format_duration(load.drain_ns)
    return f"phases: {opening}, hold {hold}, drain up to {drain}; {in_all} in all"


def open_loop_messages_per_s(plan: Plan) -> float:
    """Messages and pings that the plan sends each second once all are open; closed loops are not counted."""
    rates = zip(map(rate_per_s, plan.profile.cohorts), plan.cohort_tunnels, strict=True)
    return sum(rate * count for rate, count in rates if math.isfinite(rate))


def _traffic(plan: Plan) -> str:
    closed = [
        each.name for each in plan.profile.cohorts if each.traffic is Traffic.CHATTY and not each.rate_per_s
    ]
    also = f", and as fast as replies come from {', '.join(closed)}" if closed else ""
    rate = open_loop_messages_per_s(plan)
    return f"traffic: {f'{rate:,.1f}'.removesuffix('.0')} messages and pings a second in all{also}"


def _processes(plan: Plan, machine: Machine) -> str:
    cores = len(plan.placement.driver) or machine.cores
    if len(plan.sources) > 1:
        sources = f"{format_count(len(plan.sources))} sources, {plan.sources[0]} to {plan.sources[-1]}"
    else:
        sources = f"source {plan.sources[0]}" if plan.sources else "sources chosen by the kernel"
    return (
        f"driver: {format_many(plan.workers, 'worker')} on {format_many(cores, 'core')}, "
        f"{format_many(plan.targets, 'destination')}, {sources}"
    )


def _cores(plan: Plan) -> list[str]:
    pinned = plan.placement.pinned()
    if not pinned:
        return []
    return [f"cores: {sharing_words(parts_here(plan.profile), pinned, plan.placement.host)}"]
