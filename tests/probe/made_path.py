"""Made outcomes: what a path with one rule does to trials, and a whole search over it without waiting."""

from collections.abc import Callable, Sequence

from wsload.probe.idle_plan import MOST_ROUNDS, Fate, Kind, Outcome, Trial, first_round, next_round, watch_ns

Path = Callable[[Trial, int], Outcome]
"""What becomes of a trial that is watched for so long, in ns."""


def alive(trial: Trial, watched_ns: int, *, unasked: int = 0, silence_ns: int | None = None) -> Outcome:
    """It answered at the end."""
    interval_ns = trial.interval_ns
    beats = watched_ns // interval_ns if interval_ns else 0
    longest_ns = min(interval_ns or watched_ns, watched_ns) if silence_ns is None else silence_ns
    return Outcome(trial, Fate.ALIVE, watched_ns, 0, longest_ns, beats, unasked)


def idle_timer(timer_ns: int, fate: Fate = Fate.FIN, *, counts_client: bool = True) -> Path:
    """Silence of ``timer_ns`` ends a tunnel; whoever pings afterwards gets no answer if it is not seen."""

    def become(trial: Trial, watched_ns: int) -> Outcome:
        refreshes = trial.kind is Kind.PINGED or (trial.kind is Kind.UPSTREAM and counts_client)
        if watched_ns < timer_ns or (refreshes and 0 < trial.interval_ns < timer_ns):
            return alive(trial, watched_ns)
        if trial.kind is Kind.UPSTREAM and trial.interval_ns < timer_ns:
            beats = timer_ns // trial.interval_ns
            return Outcome(trial, fate, timer_ns, timer_ns % trial.interval_ns, beats=beats)
        asked_ns = trial.interval_ns or watched_ns
        idle_ns = asked_ns if fate is Fate.UNANSWERED else timer_ns
        detail = "no answer" if fate is Fate.UNANSWERED else ""
        return Outcome(trial, fate, idle_ns, idle_ns, detail=detail)

    return become


def age_limit(limit_ns: int) -> Path:
    """Every tunnel ends at an age."""

    def become(trial: Trial, watched_ns: int) -> Outcome:
        if watched_ns < limit_ns:
            return alive(trial, watched_ns)
        beats = limit_ns // trial.interval_ns if trial.interval_ns else 0
        idle_ns = limit_ns - beats * trial.interval_ns
        return Outcome(trial, Fate.FIN, limit_ns, idle_ns, beats=beats)

    return become


def never() -> Path:
    """Nothing ends a tunnel."""
    return alive


def search(path: Path, bound_ns: int) -> tuple[list[Outcome], int]:
    """All outcomes of a search, and how long it would have taken."""
    outcomes: list[Outcome] = []
    elapsed_ns, rounds, trials, watched_ns = 0, 0, first_round(bound_ns), bound_ns
    while trials and rounds < MOST_ROUNDS:
        watched_ns = _seen_end_ns(path, trials, watched_ns)
        outcomes += [path(trial, watched_ns) for trial in trials]
        elapsed_ns, rounds = elapsed_ns + watched_ns, rounds + 1
        trials = next_round(outcomes, bound_ns - elapsed_ns)
        watched_ns = watch_ns(max((trial.interval_ns for trial in trials), default=0))
    return outcomes, elapsed_ns


def _seen_end_ns(path: Path, trials: Sequence[Trial], watched_ns: int) -> int:
    silent = [path(trial, watched_ns) for trial in trials if trial.kind is Kind.SILENT]
    seen = silent and all(outcome.fate in (Fate.FIN, Fate.RST, Fate.CLOSE) for outcome in silent)
    return min(watched_ns, watch_ns(silent[0].age_ns)) if seen else watched_ns
