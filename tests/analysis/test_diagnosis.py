"""The diagnosis: the matrix counts every end once, and says what to change with this run's figures."""

from pathlib import Path

import msgspec
import pytest

from tests.made_ends import MANY_ENDS, Ended, Failed, ended_folder
from wsload.analysis.advice import ADVICE, CAUSE_WORDS, Facts, advice_for
from wsload.analysis.completeness import Weight
from wsload.analysis.diagnosis import Diagnosis, confidence_words, diagnose
from wsload.analysis.sources import Given, LogFit, Sources, read_sources
from wsload.errors import FolderError
from wsload.record import layout
from wsload.record.outcome import Cause, Confidence, PlanAct, Wire
from wsload.record.summary import Completeness

NO_TUNNEL_MS = {"client": 30_000, "server": 60_000}
UNREAD = [(7, "Nov 22 14:45:03 lb1 haproxy[1]: 127.0.0.1:350")]


def change_of(diagnosis: Diagnosis) -> str:
    (change,) = diagnosis.changes
    return change.change


def notes_of(diagnosis: Diagnosis, weight: Weight) -> list[str]:
    return [note.text for note in diagnosis.notes if note.weight is weight]


def misfit(fit: LogFit, **counts: int) -> Sources:
    return Sources(given=Given(haproxy_log="/var/log/haproxy.log"), log=fit)


def test_the_matrix_counts_every_end_once_and_keeps_apart_what_differs(tmp_path: Path) -> None:
    found = diagnose(ended_folder(tmp_path, MANY_ENDS))
    assert sum(cell.count for cell in found.matrix) == sum(end.count for end in MANY_ENDS)
    assert len(found.matrix) == len(MANY_ENDS)
    saw = {(cell.cohort, cell.client_saw, cell.termination, cell.cause): cell.count for cell in found.matrix}
    assert saw["idle", "FIN", "cD--", Cause.HAPROXY_CLIENT_TIMEOUT] == 1204
    assert saw["idle", "FIN", "", Cause.HAPROXY_CLIENT_TIMEOUT] == 9
    assert saw["chatty", "close frame 1001", "----", Cause.BACKEND_IDLE_TIMEOUT] == 42
    assert saw["half-closed", "our half-close, then FIN", "sD--", Cause.HAPROXY_TUNNEL_TIMEOUT] == 80
    assert saw["ghost", "vanished as planned", "cD--", Cause.PLANNED] == 60
    assert [cell.cohort for cell in found.matrix] == sorted(
        (cell.cohort for cell in found.matrix), key=["idle", "chatty", "half-closed", "ghost"].index
    )


@pytest.mark.parametrize("plan", PlanAct)
def test_every_act_of_the_plan_has_words(plan: PlanAct, tmp_path: Path) -> None:
    (cell,) = diagnose(ended_folder(tmp_path, [Ended(3, Cause.PLANNED, "----", Wire.RST, plan=plan)])).matrix
    assert cell.client_saw.endswith("RST") or plan is PlanAct.RESET


def test_what_the_plan_reset_itself_is_not_said_to_have_come(tmp_path: Path) -> None:
    ours = Ended(3, Cause.CLIENT_RESET, "CD--", Wire.RST, plan=PlanAct.RESET)
    (cell,) = diagnose(ended_folder(tmp_path, [ours])).matrix
    assert cell.client_saw == "our reset"


def test_one_cell_holds_each_confidence(tmp_path: Path) -> None:
    sure = Ended(8, Cause.BACKEND_RESET, "SD--")
    unsure = Ended(2, Cause.BACKEND_RESET, "SD--", confidence=Confidence.LIKELY)
    found = diagnose(ended_folder(tmp_path, [unsure, sure]))
    (cell,) = found.matrix
    assert list(cell.confidence.items()) == [(Confidence.CERTAIN, 8), (Confidence.LIKELY, 2)]
    assert confidence_words(cell.confidence) == "8 certain, 2 likely"


def test_the_answer_names_causes_by_number_and_what_never_opened(tmp_path: Path) -> None:
    failures = [Failed(12, Cause.QUEUE_TIMEOUT, "503"), Failed(4, Cause.REFUSED_STATUS, "403")]
    found = diagnose(ended_folder(tmp_path, MANY_ENDS[:3], failures))
    assert found.answer == [
        "1,213 of 1,523 tunnels were not ended by the plan: "
        "HAProxy client timeout 1,213 (1,204 certain, 9 guess).",
        "16 of 1,539 tunnels never opened: queue timeout 12 (certain), refused 4 (certain).",
    ]
    assert {total.cause: total.reasons for total in found.failures} == {
        Cause.QUEUE_TIMEOUT: {"503": 12},
        Cause.REFUSED_STATUS: {"403": 4},
    }


def test_a_run_that_went_as_planned_needs_no_change(tmp_path: Path) -> None:
    planned = Ended(100, Cause.PLANNED, "----", Wire.CLOSE, plan=PlanAct.CLOSE, close_code=1000)
    found = diagnose(ended_folder(tmp_path, [planned]))
    assert found.answer == ["100 tunnels ended, all as planned."]
    assert found.changes == []
    assert found.whole


def test_every_cause_has_words_and_all_but_planned_have_advice() -> None:
    assert set(CAUSE_WORDS) == set(Cause)
    assert set(ADVICE) == set(Cause) - {Cause.PLANNED}


@pytest.mark.parametrize("timers_ms", [{}, NO_TUNNEL_MS, NO_TUNNEL_MS | {"tunnel": 5000}])
def test_advice_is_whole_whatever_is_known(timers_ms: dict[str, int]) -> None:
    for cause in ADVICE:
        for idle_s in (None, 2.0):
            advice = advice_for(cause, Facts(count=3, timers_ms=timers_ms, idle_s=idle_s))
            assert len(advice) > 40
            assert not any(flaw in advice for flaw in ("None", "  ", " 0s", "``", " `-"))
            assert not advice.endswith(".")  # whoever shows it ends the sentence


def test_a_client_timeout_without_a_tunnel_timer_says_which_line_to_write(tmp_path: Path) -> None:
    end = Ended(9, Cause.HAPROXY_CLIENT_TIMEOUT, "cD--", idle_s=30.01)
    assert change_of(diagnose(ended_folder(tmp_path, [end], timers_ms=NO_TUNNEL_MS))) == (
        "no `timeout tunnel` is set, so `timeout client 30s` cuts silent tunnels: write `timeout tunnel 1h` "
        "in the backend; until then send a ping at least every 15s, less a round trip (survives one lost "
        "ping; 10s: two)"
    )


def test_a_silence_that_is_no_timer_in_force_is_not_blamed_on_it(tmp_path: Path) -> None:
    end = Ended(9, Cause.HAPROXY_CLIENT_TIMEOUT, "cD--", idle_s=2.0, confidence=Confidence.GUESS)
    advice = change_of(diagnose(ended_folder(tmp_path, [end], timers_ms=NO_TUNNEL_MS)))
    assert "the silence seen (2s) is none of the timers in force" in advice
    assert "cuts silent tunnels" not in advice


def test_timers_that_nobody_knows_are_asked_for(tmp_path: Path) -> None:
    end = Ended(9, Cause.HAPROXY_SERVER_TIMEOUT, "sD--", confidence=Confidence.GUESS)
    advice = change_of(diagnose(ended_folder(tmp_path, [end], timers_ms={}, via="url")))
    assert "after 2s of silence" in advice
    assert "--timeout server=30s --timeout tunnel=1h" in advice


def test_what_the_user_said_of_the_timers_counts(tmp_path: Path) -> None:
    end = Ended(9, Cause.HAPROXY_TUNNEL_TIMEOUT, "cD--", idle_s=90.0)
    sources = Sources(given=Given(timers_ms={"tunnel": 90_000}))
    found = diagnose(ended_folder(tmp_path, [end], timers_ms={}, via="url", sources=sources))
    assert found.timers_ms == {"tunnel": 90_000}
    assert change_of(found) == (
        "raise `timeout tunnel 1m30s` above the longest silence that is to live, or send a ping at least "
        "every 45s, less a round trip (survives one lost ping; 30s: two)"
    )


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (PlanAct.STALL, "clients that stop reading hold a slot for `timeout tunnel 5s`"),
        (PlanAct.HALF_CLOSE, "let the backend close when the client has"),
    ],
)
def test_a_tunnel_timeout_that_the_plan_provoked_gets_other_advice(
    tmp_path: Path, plan: PlanAct, said: str
) -> None:
    end = Ended(9, Cause.HAPROXY_TUNNEL_TIMEOUT, "cD--", plan=plan)
    assert said in change_of(diagnose(ended_folder(tmp_path, [end], timers_ms={"tunnel": 5000})))


def test_a_full_haproxy_is_told_its_slots_and_descriptors(tmp_path: Path) -> None:
    failed = Failed(500, Cause.BACKLOG_WAIT, "timeout")
    held = Ended(1000, Cause.PLANNED, "----", plan=PlanAct.CLOSE)
    advice = change_of(diagnose(ended_folder(tmp_path, [held], [failed])))
    assert "raise `maxconn` (now 1,000) to 1,500 or more" in advice
    assert "to over 3,000, two a tunnel" in advice


def test_lost_and_unread_lines_are_told_and_only_the_lost_are_doubts(tmp_path: Path) -> None:
    counts = Completeness(
        ended=100, log_lines=150, matched=97, without_line=3, without_end=53, dropped=3, unread=1
    )
    sources = Sources(log=LogFit(formats={}, early=2, unread_examples=UNREAD))
    found = diagnose(ended_folder(tmp_path, MANY_ENDS[3:5], counts=counts, sources=sources))
    assert not found.whole
    assert notes_of(found, Weight.DOUBT) == [
        "3 ends without a log line (3%): judged with less confidence",
        "3 log lines lost before they could be stored",
        "2 log lines written at the 101, which say nothing of an end: remove `option logasap`",
    ]
    assert "53 log lines of no tunnel that a client knows" in notes_of(found, Weight.PLAIN)
    assert found.unread_examples == UNREAD


NOTHING_FITS = Completeness(ended=50, log_lines=50, without_line=50, without_end=50)
FIT = LogFit(formats={"option tcplog": 50}, early=0, unread_examples=[], from_unix_s=1.0, to_unix_s=90.0)


@pytest.mark.parametrize(
    ("fit", "counts", "said"),
    [
        (
            msgspec.structs.replace(FIT, likely_ahead_s=3600.04),
            NOTHING_FITS,
            "the same addresses end in the log 1h ahead of the run: another time zone or clock; "
            "add --log-ahead=3600s",
        ),
        (
            msgspec.structs.replace(FIT, likely_ahead_s=-37.26),
            NOTHING_FITS,
            "the same addresses end in the log 37.26s behind the run: another time zone or clock; "
            "add --log-ahead=-37.3s",
        ),
        (
            msgspec.structs.replace(FIT, foreign_ips=["10.0.0.1"]),
            NOTHING_FITS,
            "the log's clients (10.0.0.1, ...) are none of the run's",
        ),
        (FIT, NOTHING_FITS, "the log covers 1970-01-01 00:00:01Z to 1970-01-01 00:01:30Z, the run 20"),
        (
            FIT,
            Completeness(ended=50, without_line=50, unread=9),
            "no line could be read as an end: is it HAProxy's log?",
        ),
    ],
)
def test_a_log_that_matches_nothing_says_why(
    tmp_path: Path, fit: LogFit, counts: Completeness, said: str
) -> None:
    sources = Sources(given=Given(haproxy_log="/var/log/haproxy.log"), log=fit)
    found = diagnose(ended_folder(tmp_path, MANY_ENDS[:1], counts=counts, sources=sources))
    reasons = notes_of(found, Weight.DOUBT)[1:]
    assert len(reasons) == 1
    assert reasons[0].startswith(said)


def test_a_log_that_mostly_fits_is_not_suspected(tmp_path: Path) -> None:
    counts = Completeness(ended=100, log_lines=99, matched=99, without_line=1)
    found = diagnose(ended_folder(tmp_path, MANY_ENDS[:1], counts=counts, sources=Sources(log=FIT)))
    assert notes_of(found, Weight.DOUBT) == ["1 end without a log line (1%): judged with less confidence"]


@pytest.mark.parametrize(
    ("via", "said", "whole"),
    [
        ("direct", "no HAProxy took part in this run", True),
        (
            "url",
            "no log of HAProxy's: the client's side alone says who ended a tunnel; "
            "join one with --haproxy-log FILE",
            False,
        ),
    ],
)
def test_a_run_without_a_log_says_what_that_means(tmp_path: Path, via: str, said: str, whole: bool) -> None:
    sources = Sources()
    found = diagnose(ended_folder(tmp_path, MANY_ENDS[:1], via=via, counts=Completeness(), sources=sources))
    assert [note.text for note in found.notes] == [said]
    assert found.whole is whole


def test_it_is_told_as_json_that_reads_back(tmp_path: Path) -> None:
    found = diagnose(ended_folder(tmp_path, MANY_ENDS, [Failed(1, Cause.SERVER_DOWN, "503")]))
    text = msgspec.json.encode(found)
    assert text.startswith(b'{"schema":"wsload.diagnosis/1"')
    assert msgspec.json.decode(text, type=Diagnosis) == found


def test_a_folder_without_verdicts_yet_has_nothing_given(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == Sources()
    (tmp_path / layout.EVIDENCE).write_text("{")
    with pytest.raises(FolderError, match=r"evidence\.json: cannot be read .*; delete it to start over"):
        read_sources(tmp_path)
