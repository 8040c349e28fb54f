"""A profile and a machine to a plan, and a plan to each worker's share. Pure: equal input, equal output."""

import ipaddress
import math
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from wsload.plan.arrivals import opening_times_ns
from wsload.plan.model import PORTS_PER_PAIR, Assignment, Machine, Plan
from wsload.plan.pinning import make_placement
from wsload.profile.model import BackendMode, Profile, Via
from wsload.profile.plateaus import ghost_hold_ns
from wsload.profile.values import address_range

SPARE_DESCRIPTORS = 100
"""What a process has open beside its tunnels."""

TUNNELS_PER_WORKER = 2_000
"""Below this a second worker is not worth its memory, where workers are "auto"."""

MOST_SOURCES = 65_535
"""A tunnel's source travels as 16 bits."""

_FIRST_POOL_SOURCE = ipaddress.IPv4Address("127.0.0.2")
_KERNEL_CHOOSES_SHARE = 25_000 / PORTS_PER_PAIR  # beyond, its search for a free port gets slow
_POOL_SHARE = 28_000 / PORTS_PER_PAIR  # leaves room for ports that other programs hold

Numbers = NDArray[np.int64]


def make_plan(profile: Profile, machine: Machine) -> Plan:
    """Work out one run on one machine.

    Workers "auto": as many as descriptors ask for; else one, and one more for each full 2,000 tunnels up
    to the number of cores (with ``load.pin``: of the driver's own). Never more than tunnels.

    Sources "auto": the kernel chooses while one destination gets no more than about 25,000 tunnels (of the
    28,232 ports that Linux has by default). Beyond that a pool from 127.0.0.2 on, large enough for 28,000
    tunnels per source and destination; only on loopback, since elsewhere no address may be made up
    (:mod:`wsload.plan.preflight` then says what is missing).
    """
    tunnels = profile.load.tunnels
    per_process = _ceil(tunnels, profile.haproxy.processes)
    ports = ports_of(machine)
    listeners = 1
    if profile.target.via is Via.HAPROXY and profile.backend.mode is BackendMode.EMBEDDED:
        listeners = _ceil(per_process, _share_of(ports, _KERNEL_CHOOSES_SHARE))
    elif profile.target.via is Via.DIRECT and profile.target.sources:
        named = len(expand_sources(profile.target.sources, MOST_SOURCES))
        listeners = _ceil(tunnels, named * _share_of(ports, _POOL_SHARE))
    targets = {
        Via.HAPROXY: profile.haproxy.processes,
        Via.DIRECT: listeners,
        Via.URL: len(profile.target.urls),
    }[profile.target.via]
    workers = _workers(profile, machine)
    placement = make_placement(profile, workers, machine.core_ids)
    if profile.load.pin and profile.load.workers is None:
        workers = max(_least_workers(profile, machine), min(workers, len(placement.driver)))
    return Plan(
        profile=profile,
        workers=workers,
        cohort_tunnels=split_by_share(tunnels, [cohort.share for cohort in profile.cohorts]),
        sources=_sources(profile, ports, _ceil(tunnels, targets) * most_urls_of_one_destination(profile)),
        targets=targets,
        backend_listeners=listeners,
        placement=placement,
    )


def ports_of(machine: Machine) -> int:
    """Local ports per source address and destination."""
    first, last = machine.port_range
    return last - first + 1


def most_urls_of_one_destination(profile: Profile) -> int:
    """How many of the urls lead to the same host and port, and so share its ports; 1 where there are none."""
    places = [urlsplit(url).netloc.lower() for url in profile.target.urls]
    return max((places.count(place) for place in places), default=1)


def split_by_share(tunnels: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Whole tunnels by relative weight, by largest remainder: exact in sum, each off by less than one."""
    total = math.fsum(shares)
    quotas = [tunnels * (share / total) for share in shares]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - quotas[i], i))
    for i in by_remainder[: tunnels - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def expand_sources(written: Sequence[str], most: int) -> tuple[str, ...]:
    """The first ``most`` addresses of addresses, ranges and networks as a profile writes them, each once."""
    found: dict[str, None] = {}
    for item in written:
        first, last = address_range(item)
        for number in range(int(first), int(last) + 1):
            if len(found) >= most:
                return tuple(found)
            found[str(ipaddress.IPv4Address(number))] = None
    return tuple(found)


def assignments(plan: Plan) -> list[Assignment]:
    """Each worker's tunnels.

    Cohorts open interleaved evenly over the whole ramp. Workers, targets and sources are dealt out along
    ``rank``, the tunnels in cohort-major order, so that each cohort by itself is spread over all workers,
    targets and sources: dealing along the opening order instead would lock step with the interleaving (two
    equal cohorts on two workers would give each worker one cohort). Totals per worker, per target and per
    (source, target) differ by one at most.
    """
    load, tunnels = plan.profile.load, plan.profile.load.tunnels
    counts = np.array(plan.cohort_tunnels, dtype=np.int64)
    cohort = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(tunnels, dtype=np.int64)
    place = (rank - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[cohort]
    opening_order = np.argsort(place, kind="stable")
    worker = rank % plan.workers
    target = _dealt(rank, plan.targets, plan.workers)
    source = _dealt(_rank_within(target), max(len(plan.sources), 1), plan.workers)
    first_level = plan.first_level
    opens_ns = np.full(tunnels, load.ramp_ns, dtype=np.int64)
    opens_ns[:first_level] = opening_times_ns(first_level, load.ramp_ns, load.arrivals, load.seed)
    columns = {"cohort_of": cohort, "source_of": source, "target_of": target}
    in_order = {name: column[opening_order] for name, column in columns.items()}
    worker = worker[opening_order]
    parts = []
    for number in range(plan.workers):
        mine = np.flatnonzero(worker == number)
        parts.append(
            Assignment.pack(
                worker=number,
                seed=_worker_seed(load.seed, number),
                cohorts=plan.profile.cohorts,
                sources=plan.sources,
                tunnel_ids=mine,
                opens_ns=opens_ns[mine],
                cohort_of=in_order["cohort_of"][mine],
                source_of=in_order["source_of"][mine],
                target_of=in_order["target_of"][mine],
                ramp_ns=load.ramp_ns,
                hold_ns=load.hold_ns,
                drain_ns=load.drain_ns,
                interval_ns=load.interval_ns,
                handshake_timeout_ns=load.handshake_timeout_ns,
                first_level=first_level,
                ghost_hold_ns=ghost_hold_ns(plan.profile),
                timer_slack_ns=load.timer_slack_ns,
            )
        )
    return parts


def _dealt(rank: Numbers, hands: int, other: int) -> Numbers:
    """``rank`` dealt out to ``hands`` in turn, shifted by one each time the deal falls into step with
    another deal to ``other`` hands, so that all pairs of the two come up equally often."""
    return (rank + rank // math.lcm(hands, other)) % hands


def _rank_within(group: Numbers) -> Numbers:
    """Each element's place among those of its group, in order."""
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    ranks = np.empty(len(group), dtype=np.int64)
    ranks[order] = np.arange(len(group)) - starts
    return ranks


def _worker_seed(seed: int, worker: int) -> int:
    """Independent streams for the workers; fits a signed 64-bit number."""
    return int(np.random.SeedSequence(seed, spawn_key=(worker,)).generate_state(1, np.uint64)[0] >> 1)


def _workers(profile: Profile, machine: Machine) -> int:
    tunnels = profile.load.tunnels
    if profile.load.workers is not None:
        return min(profile.load.workers, tunnels)
    useful = tunnels // TUNNELS_PER_WORKER + 1
    return min(max(_least_workers(profile, machine), min(machine.cores, useful)), tunnels)


def _least_workers(profile: Profile, machine: Machine) -> int:
    """As many as descriptors ask for."""
    return _ceil(profile.load.tunnels, max(machine.nofile_hard - SPARE_DESCRIPTORS, 1))


def _sources(profile: Profile, ports: int, per_destination: int) -> tuple[str, ...]:
    per_source = _share_of(ports, _POOL_SHARE)
    if profile.target.sources:
        return expand_sources(profile.target.sources, min(profile.load.tunnels, MOST_SOURCES))
    if per_destination <= _share_of(ports, _KERNEL_CHOOSES_SHARE) or not _all_on_loopback(profile):
        return ()
    needed = min(_ceil(per_destination, per_source), MOST_SOURCES)
    return tuple(str(_FIRST_POOL_SOURCE + i) for i in range(needed))


def _all_on_loopback(profile: Profile) -> bool:
    hosts = [urlsplit(url).hostname or "" for url in profile.target.urls]
    return all(host == "localhost" or host.startswith("127.") for host in hosts)


def _share_of(ports: int, share: float) -> int:
    return max(int(ports * share), 1)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
