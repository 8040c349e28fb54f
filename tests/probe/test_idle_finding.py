from dataclasses import replace

import pytest

from tests.probe.made_path import age_limit, alive, idle_timer, never, search
from wsload.probe.idle_finding import Finding, Verdict, conclude, sentences
from wsload.probe.idle_plan import Fate, Kind, Outcome, first_round
from wsload.units import NS_PER_MS, NS_PER_S

BOUND_NS = 600 * NS_PER_S


def text(finding: Finding) -> str:
    return "\n".join(sentences(finding))


def test_an_idle_timer_is_told_with_its_length_its_end_and_what_to_do() -> None:
    outcomes, _ = search(idle_timer(30 * NS_PER_S), BOUND_NS)
    finding = conclude(outcomes, BOUND_NS, rtt_ns=50 * NS_PER_MS)
    assert finding.verdict is Verdict.TIMER
    assert (finding.timer_ns, finding.fate) == (30 * NS_PER_S, Fate.FIN)
    assert sentences(finding)[0] == (
        "a tunnel ends after 30s ±1ms without a byte in either direction: "
        "FIN without a close frame (3 of 3 silent tunnels)"
    )
    assert "bytes from the client alone (unsolicited pongs) count" in text(finding)
    assert 'looks like HAProxy with "timeout tunnel 30s"' in text(finding)
    assert finding.advised_ns == (30_000 - 1 - 50) * NS_PER_MS // 2


def test_how_a_tunnel_ends_is_told_by_those_that_were_never_asked() -> None:
    outcomes, _ = search(idle_timer(30 * NS_PER_S), BOUND_NS)
    # On a busy machine our ping and the timer's FIN cross.
    crossed = [
        replace(outcome, fate=Fate.UNANSWERED, detail="a FIN")
        for outcome in outcomes
        if outcome.trial.kind is Kind.PINGED and outcome.fate is Fate.FIN
    ]
    silent = [outcome for outcome in outcomes if outcome.trial.kind is Kind.SILENT]
    assert len(crossed) > len(silent)
    assert conclude([*silent, *crossed], BOUND_NS).fate is Fate.FIN


def test_a_path_without_a_timer_says_how_much_silence_it_bore() -> None:
    outcomes, _ = search(never(), BOUND_NS)
    finding = conclude(outcomes, BOUND_NS)
    assert finding.verdict is Verdict.NONE
    assert sentences(finding)[0] == "no timer up to 10m of silence"
    assert finding.survived_ns == BOUND_NS


def test_a_server_that_speaks_by_itself_is_named_as_the_reason_why_no_timer_shows() -> None:
    outcomes = [
        alive(trial, BOUND_NS, unasked=30, silence_ns=20 * NS_PER_S) for trial in first_round(BOUND_NS)
    ]
    assert "silent for longer than 20s" in text(conclude(outcomes, BOUND_NS))


def test_a_connection_forgotten_in_silence_is_found_by_the_pings() -> None:
    outcomes, _ = search(idle_timer(350 * NS_PER_S, Fate.UNANSWERED), BOUND_NS)
    finding = conclude(outcomes, BOUND_NS)
    assert finding.timer_ns is not None
    assert finding.timer_ns - finding.plus_minus_ns == 300 * NS_PER_S
    assert "AWS NLB" in text(finding)
    assert "no end on the wire, but a later ping got no answer" in text(finding)


def test_a_limit_on_age_gets_no_advice_to_ping() -> None:
    outcomes, _ = search(age_limit(30 * NS_PER_S), BOUND_NS)
    finding = conclude(outcomes, BOUND_NS)
    assert finding.verdict is Verdict.LIFETIME
    assert "every tunnel ended at the age of 30s" in text(finding)
    assert "Google" in text(finding)
    assert "to keep tunnels" not in text(finding)


def test_a_close_frames_reason_is_quoted_without_what_would_upset_a_terminal() -> None:
    outcomes = [
        Outcome(
            outcome.trial, Fate.CLOSE, outcome.age_ns, outcome.idle_ns, close_code=1001, detail="idle\x1b[2J"
        )
        if outcome.fate is Fate.FIN
        else outcome
        for outcome in search(idle_timer(20 * NS_PER_S), BOUND_NS)[0]
    ]
    assert 'close frame with code 1001 "idle?[2J"' in text(conclude(outcomes, BOUND_NS))


def test_nothing_is_concluded_from_tunnels_that_did_not_open() -> None:
    outcomes = [Outcome(trial, Fate.REFUSED, detail="503") for trial in first_round(BOUND_NS)]
    finding = conclude(outcomes, BOUND_NS)
    assert finding.verdict is Verdict.UNMEASURED
    assert not finding.measured
    assert sentences(finding)[0].endswith("could be opened: 503")


@pytest.mark.parametrize("kind", [Kind.SILENT, Kind.PINGED])
def test_one_tunnel_lost_by_chance_is_told_and_makes_no_timer(kind: Kind) -> None:
    outcomes, _ = search(never(), BOUND_NS)
    index = next(i for i, o in enumerate(outcomes) if o.trial.kind is kind and o.beats != 1)
    trial = outcomes[index].trial
    beats = 10 * NS_PER_S // trial.interval_ns if trial.interval_ns else 0
    idle_ns = NS_PER_S if beats else 10 * NS_PER_S
    outcomes[index] = Outcome(trial, Fate.RST, 10 * NS_PER_S, idle_ns, beats=beats or kind is Kind.PINGED)
    finding = conclude(outcomes, BOUND_NS)
    assert finding.verdict is Verdict.NONE
    assert "1 ended though others like it lived on: RST" in text(finding)


def test_a_tunnel_forgotten_after_some_heartbeats_still_gives_a_bracket() -> None:
    outcomes = [
        Outcome(trial, Fate.UNANSWERED, BOUND_NS, trial.interval_ns, beats=1, detail="no answer")
        if trial.kind is Kind.PINGED and 2 * trial.interval_ns > BOUND_NS
        else alive(trial, BOUND_NS)
        for trial in first_round(BOUND_NS)
    ]
    finding = conclude(outcomes, BOUND_NS)
    assert finding.fate is Fate.UNANSWERED
    assert finding.survived_ns == BOUND_NS // 2


def test_an_interrupted_search_keeps_what_is_known() -> None:
    outcomes = [
        Outcome(trial, Fate.OPEN, 90 * NS_PER_S, 90 * NS_PER_S, 90 * NS_PER_S)
        if trial.kind is Kind.SILENT
        else alive(trial, 90 * NS_PER_S)
        for trial in first_round(BOUND_NS)
    ]
    finding = conclude(outcomes, BOUND_NS, interrupted=True)
    assert finding.interrupted
    assert sentences(finding)[0] == "no timer up to 1m30s of silence"
    assert finding.survived_ns == BOUND_NS // 8


@pytest.mark.parametrize("spread_ms", [0, 40, 900])
def test_the_uncertainty_is_half_of_what_silent_tunnels_differ(spread_ms: int) -> None:
    outcomes = [idle_timer(30 * NS_PER_S)(trial, 40 * NS_PER_S) for trial in first_round(BOUND_NS)]
    first = outcomes[0]
    outcomes[0] = Outcome(first.trial, first.fate, first.age_ns, first.idle_ns + spread_ms * NS_PER_MS)
    assert conclude(outcomes, BOUND_NS).plus_minus_ns == max(spread_ms // 2, 1) * NS_PER_MS
