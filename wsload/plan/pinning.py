"""Which part of a run gets which cores. Pure."""

from collections.abc import Mapping, Sequence

from wsload.errors import PreflightError
from wsload.profile.model import BackendMode, Profile, Via
from wsload.record.placement import Placement, core_words


def parts_here(profile: Profile) -> list[str]:
    """The roles that run on this host."""
    via = profile.target.via
    has_backend = via is not Via.URL and profile.backend.mode is BackendMode.EMBEDDED
    return [
        "driver",
        *(["haproxy"] if via is Via.HAPROXY else []),
        *(["backend"] if has_backend else []),
    ]


def make_placement(profile: Profile, workers: int, host: Sequence[int]) -> Placement:
    """Cores for each part, as ``load.pin`` and ``haproxy.cpus`` ask.

    ``haproxy.cpus`` alone keeps HAProxy to these cores. With ``load.pin`` every part on this host has cores
    of its own, one for each process or HAProxy thread where there are so many; where there are too few,
    HAProxy is the last to share. The parent keeps off HAProxy's where it can.

    Raises:
        PreflightError: ``haproxy.cpus`` names a core that is not among ``host``, this machine's.
    """
    parts = parts_here(profile)
    stated = profile.haproxy.cpus if "haproxy" in parts else ()
    if missing := [core for core in stated if core not in host]:
        raise PreflightError(
            f"haproxy.cpus: {core_words(missing)} cannot be used here; this machine has {core_words(host)}; "
            f'write cpus = "{host[-1]}"'
        )
    if not profile.load.pin:
        return Placement(host=tuple(host), haproxy=stated)
    processes = {
        "driver": workers,
        "backend": profile.backend.processes,
        "haproxy": profile.haproxy.threads * profile.haproxy.processes,
    }
    dealt = {"haproxy": stated} if stated else {}
    wanted = {role: count for role, count in processes.items() if role in parts and role not in dealt}
    dealt |= _deal(wanted, _without(host, stated))
    return Placement(host=tuple(host), parent=_without(host, dealt.get("haproxy", ())), **dealt)


def cores_for_all_apart(profile: Profile) -> int:
    """How many cores it takes for no part to share one."""
    parts = parts_here(profile)
    stated = len(profile.haproxy.cpus) if "haproxy" in parts else 0
    return len(parts) + max(stated - 1, 0)


def _without(host: Sequence[int], taken: Sequence[int]) -> tuple[int, ...]:
    """What is left of the host's cores; all of them where nothing is."""
    return tuple(core for core in host if core not in taken) or tuple(host)


def _deal(wanted: Mapping[str, int], cores: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Role -> cores, in the order of ``wanted``; its last role has the last cores, and is the last to share.

    Cores beyond what is wanted are left free.
    """
    roles = list(wanted)
    if len(cores) == 1:
        return dict.fromkeys(roles, tuple(cores))
    if len(cores) < len(roles):
        return {**_deal(dict.fromkeys(roles[:-1], 1), cores[:-1]), roles[-1]: (cores[-1],)}
    sizes = dict.fromkeys(roles, 1)
    for _ in range(len(cores) - len(roles)):
        short = [role for role in roles if sizes[role] < wanted[role]]
        if not short:
            break
        sizes[max(short, key=lambda role: wanted[role] / sizes[role])] += 1
    *others, last = roles
    dealt, used = {}, 0
    for role in others:
        dealt[role] = tuple(cores[used : used + sizes[role]])
        used += sizes[role]
    dealt[last] = tuple(cores[len(cores) - sizes[last] :])
    return dealt
