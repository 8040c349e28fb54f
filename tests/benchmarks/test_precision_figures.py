"""How spikes are found, whom they are laid to, and when they keep time."""

import numpy as np
import pytest

from benchmarks.precision_figures import (
    OURS,
    Cause,
    Messages,
    Noted,
    Percentiles,
    Result,
    Rhythm,
    Setting,
    Spike,
    WitnessNotes,
    cause_of,
    lateness,
    limits_of,
    profile_text,
    rhythm_of,
    spikes_of,
    table,
)
from wsload.profile.load import parse_profile
from wsload.units import NS_PER_MS, NS_PER_S

SETTING = Setting("apart", 1000, 10_000, slack_us=100, apart=True)
HOLD_S = 60.0
BEGIN_NS = 5 * NS_PER_S


def messages(lags_ms: dict[int, float], seconds: float = 1.0) -> Messages:
    """One each millisecond of the hold, on time but for those that ``lags_ms`` names by their millisecond."""
    due_ns = BEGIN_NS + np.arange(round(seconds * 1000), dtype=np.int64) * NS_PER_MS
    lag_ns = np.full(len(due_ns), NS_PER_MS // 10)
    for at_ms, lag_ms in lags_ms.items():
        lag_ns[at_ms] = round(lag_ms * NS_PER_MS)
    return Messages(
        np.column_stack([due_ns, due_ns + lag_ns]), BEGIN_NS, BEGIN_NS + round(seconds * NS_PER_S)
    )


def witness(*rows: tuple[int, float, float, float, float]) -> WitnessNotes:
    """Rows: millisecond of the hold, own lateness; waited, parent and system in that millisecond; all ms."""
    noted = np.array([(at, late, *since) for at, late, *since in rows], dtype=float)
    noted[:, 2:] = np.cumsum(noted[:, 2:], axis=0)
    noted = np.vstack([[-1000, 0, 0, 0, 0], noted]) * NS_PER_MS
    noted[:, 0] += BEGIN_NS
    return WitnessNotes(noted.astype(np.int64))


QUIET = witness((0, 0.0, 0.0, 0.0, 0.0))


def test_messages_of_the_hold_alone_count() -> None:
    stamps = np.array([(BEGIN_NS - 1, BEGIN_NS), (BEGIN_NS, BEGIN_NS + 7), (BEGIN_NS + NS_PER_S, 0)])
    assert Messages(stamps, BEGIN_NS, BEGIN_NS + NS_PER_S).lag_ns.tolist() == [7]


def test_late_messages_close_together_are_one_spike() -> None:
    found = spikes_of(messages({100: 6.0, 101: 5.0, 104: 2.5, 500: 3.0, 900: 2.0}), [QUIET])
    assert [(spike.t_s, spike.lag_ms, spike.messages) for spike in found] == [(0.1, 6.0, 3), (0.5, 3.0, 1)]


def test_no_late_message_is_no_spike() -> None:
    assert spikes_of(messages({}), [QUIET]) == []


@pytest.mark.parametrize(
    ("noted", "cause"),
    [
        (Noted(0.1, 0.2, 0.0, 0.0), Cause.DRIVER),
        (Noted(2.0, 0.2, 0.0, 0.0), Cause.HOST),
        (Noted(2.0, 4.0, 4.0, 0.0), Cause.HOST),
        (Noted(1.9, 2.0, 1.0, 1.0), Cause.PARENT),
        (Noted(0.1, 3.0, 1.4, 1.5), Cause.SYSTEM),
        (Noted(0.1, 3.0, 1.4, 1.4), Cause.OTHERS),
        (Noted(0.1, 1.9, 1.9, 1.9), Cause.DRIVER),
    ],
)
def test_a_spike_of_4_ms_is_laid_to_what_explains_half_of_it(noted: Noted, cause: Cause) -> None:
    assert cause_of(4.0, noted) is cause


def test_what_a_witness_noted_elsewhere_explains_nothing() -> None:
    elsewhere = witness((50, 9.0, 9.0, 9.0, 9.0), (400, 9.0, 9.0, 9.0, 9.0))
    (spike,) = spikes_of(messages({100: 6.0}), [elsewhere])
    assert spike.cause is Cause.DRIVER


def test_the_kernel_may_tell_of_a_wait_just_after_it_is_over() -> None:
    (spike,) = spikes_of(messages({100: 6.0}), [witness((107, 0.0, 5.0, 5.0, 0.0))])
    assert spike.cause is Cause.PARENT
    assert spike.noted == Noted(0.0, 5.0, 5.0, 0.0)


def test_of_several_cores_the_one_that_was_late_tells() -> None:
    (spike,) = spikes_of(messages({100: 6.0}), [QUIET, witness((105, 5.0, 0.0, 0.0, 0.0))])
    assert spike.cause is Cause.HOST


@pytest.mark.parametrize("offset_s", [0.0, 0.37, 0.999])
def test_spikes_at_each_interval_are_found(offset_s: float) -> None:
    jitter_s = np.random.default_rng(1).normal(0, 0.01, 60)
    found = rhythm_of((offset_s + np.arange(60) + jitter_s).tolist(), HOLD_S)
    assert found is not None
    assert found.period_s == pytest.approx(1.0, abs=0.002)


def test_spikes_at_some_intervals_among_others_are_found() -> None:
    rng = np.random.default_rng(2)
    at_intervals = rng.choice(60, 25, replace=False).astype(float)
    assert rhythm_of([*at_intervals, *rng.uniform(0, HOLD_S, 15)], HOLD_S) is not None


@pytest.mark.parametrize("period_s", [0.05, 0.25, 0.1, 3.3])
def test_a_period_that_nobody_thought_of_is_found(period_s: float) -> None:
    found = rhythm_of(np.arange(0.02, HOLD_S, period_s).tolist(), HOLD_S)
    assert found is not None
    assert (period_s / found.period_s) % 1 == pytest.approx(0, abs=0.02) or found.cycles > 100


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 8, 40, 200])
def test_spikes_by_chance_keep_no_time(seed: int, count: int) -> None:
    assert rhythm_of(np.random.default_rng(seed).uniform(0, HOLD_S, count).tolist(), HOLD_S) is None


def test_a_burst_is_no_rhythm() -> None:
    assert rhythm_of(np.linspace(30.0, 30.3, 20).tolist(), HOLD_S) is None
    assert rhythm_of([], HOLD_S) is None


def result(**changed: object) -> Result:
    fine: dict[str, object] = {
        "setting": SETTING,
        "cores": "driver alone on core 0",
        "length_s": HOLD_S,
        "validity": "valid",
        "reasons": [],
        "sent": 600_000,
        "noted": 599_990,
        "lag_ms": Percentiles(0.1, 0.25, 1.0, 3.0),
        "wsload_lag_p99_ms": 0.251,
        "host_late_ms": Percentiles(0.05, 0.06, 0.07, 1.0),
        "witness_priority": "real-time",
        "cpu_cores": {"driver": 0.3},
        "waited_share": 0.01,
        "spikes": [],
        "rhythm": None,
    }
    return Result(**(fine | changed))  # type: ignore[arg-type]


def test_a_run_within_all_bars_has_no_limit() -> None:
    assert limits_of(result()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"lag_ms": Percentiles(0.1, 0.4, 1.0, 3.0), "wsload_lag_p99_ms": 0.4},
            "lag p99 0.400 ms, above 0.3",
        ),
        ({"rhythm": Rhythm(1.0, 60, 1e-26)}, "spikes of ours above 2 ms keep a period of 1.000 s in 60"),
        ({"noted": 500_000}, "stamps of 500,000 messages of 600,000"),
        ({"wsload_lag_p99_ms": 0.2}, "wsload says lag p99 0.200 ms, stamps 0.250 ms"),
        ({"validity": "invalid", "reasons": ["a worker is missing"]}, "not valid: a worker is missing"),
    ],
)
def test_each_bar_that_is_missed_is_told(changed: dict[str, object], said: str) -> None:
    (limit,) = limits_of(result(**changed))
    assert limit.startswith(said)


def test_a_driver_that_had_to_wait_on_a_core_of_its_own_was_not_alone() -> None:
    busy = table([result(waited_share=0.2)])
    assert "? apart: other programs ran on the driver's core: it had to wait 20% of the time" in busy
    assert "?" not in table([result()])


def test_the_table_counts_spikes_by_cause_and_ends_with_what_was_missed() -> None:
    spike = Spike(1.0, 3.0, 2, Cause.HOST, Noted(3.0, 0.0, 0.0, 0.0))
    missed = result(spikes=[spike, spike], limits=["lag p99 0.400 ms, above 0.3 ms"])
    lines = table([missed]).splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("spikes above 2 ms: host")] == ["2"]
    assert lines[-1] == "! apart: lag p99 0.400 ms, above 0.3 ms"


def test_lateness_is_that_of_the_worse_witness() -> None:
    late = witness((1, 4.0, 0, 0, 0), (2, 4.0, 0, 0, 0))
    assert lateness([QUIET, late], BEGIN_NS, BEGIN_NS + NS_PER_S).max == 4.0


def test_other_programs_the_host_and_the_system_under_test_are_not_ours() -> None:
    assert {Cause.PARENT, Cause.DRIVER} == OURS


@pytest.mark.parametrize("apart", [True, False])
def test_the_profile_keeps_the_parts_apart_or_does_not(apart: bool) -> None:
    setting = Setting("x", 1000, 10_000, slack_us=100, apart=apart)
    profile = parse_profile(profile_text(setting, 60 * NS_PER_S, "127.0.0.1:8080", 3), "test")
    assert profile.load.pin is apart
    assert profile.haproxy.cpus == ((3,) if apart else ())
    assert profile.cohorts[0].rate_per_s == 10
    assert profile.load.timer_slack_ns == 100_000
