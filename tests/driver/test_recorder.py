from struct import pack

from wsload.driver.recorder import CohortRecorder, pack_reply, pack_send
from wsload.plan.phases import PhaseTimes
from wsload.record.histogram import Histogram
from wsload.record.outcome import Phase
from wsload.record.snapshot import SparseCounts
from wsload.units import NS_PER_MS

START, HOLD, DRAIN = 1_000 * NS_PER_MS, 2_000 * NS_PER_MS, 3_000 * NS_PER_MS


def recorder(corrected: str | None = "echo_corrected") -> CohortRecorder:
    return CohortRecorder(PhaseTimes(START, HOLD, DRAIN), corrected, "echo_service")


def reply(to: CohortRecorder, intended_ms: int, sent_ms: int, received_ms: int) -> None:
    stamp = pack("<QQ", intended_ms * NS_PER_MS, sent_ms * NS_PER_MS)
    to.note_reply(pack_reply(stamp, received_ms * NS_PER_MS))


def dense(counts: SparseCounts) -> Histogram:
    histogram = Histogram()
    histogram.merge_sparse(counts.indexes, counts.counts)
    return histogram


def test_a_reply_is_measured_from_its_intended_and_from_its_sent_time() -> None:
    cohort = recorder()
    reply(cohort, 2_100, 2_104, 2_110)
    histograms = cohort.take(DRAIN)[Phase.HOLD].histograms
    assert round(dense(histograms["echo_corrected"]).mean_ns() / NS_PER_MS) == 10
    assert round(dense(histograms["echo_service"]).mean_ns() / NS_PER_MS) == 6


def test_a_reply_that_comes_in_the_drain_counts_to_the_hold_it_was_meant_for() -> None:
    cohort = recorder()
    reply(cohort, 2_999, 2_999, 3_500)
    reply(cohort, 1_500, 1_500, 2_500)
    taken = cohort.take(DRAIN)
    assert taken[Phase.HOLD].counters == {"received": 1}
    assert taken[Phase.OPEN].counters == {"received": 1}
    assert Phase.DRAIN not in taken


def test_bytes_that_are_no_stamp_of_this_run_are_counted_as_unmatched() -> None:
    cohort = recorder()
    reply(cohort, 0, 0, 2_100)
    reply(cohort, 2_100, 9_999, 2_200)
    counters = cohort.take(HOLD + 1)[Phase.HOLD].counters
    assert counters == {"unmatched": 2, "received": 2}


def test_lag_is_filed_for_every_message_sent_answered_or_not() -> None:
    cohort = recorder()
    cohort.note_send(pack_send(HOLD, HOLD + 3 * NS_PER_MS))
    cohort.note_send(pack_send(HOLD + 1, HOLD + 1))
    part = cohort.take(DRAIN)[Phase.HOLD]
    assert part.counters == {"sent": 2}
    assert dense(part.histograms["lag"]).total() == 2
    assert round(dense(part.histograms["lag"]).max_ns() / NS_PER_MS) == 3


def test_pings_have_a_round_trip_and_no_corrected_latency() -> None:
    cohort = CohortRecorder(PhaseTimes(START, HOLD, DRAIN), None, "ping_rtt")
    reply(cohort, 2_100, 2_101, 2_103)
    assert set(cohort.take(DRAIN)[Phase.HOLD].histograms) == {"ping_rtt"}


def test_taking_starts_a_new_interval() -> None:
    cohort = recorder()
    reply(cohort, 2_100, 2_100, 2_101)
    cohort.bytes_sent = 80
    assert cohort.take(HOLD + 1)
    assert cohort.take(DRAIN) == {}


def test_it_asks_to_be_flushed_before_memory_grows() -> None:
    cohort = recorder()
    while not cohort.is_full():
        reply(cohort, 2_100, 2_100, 2_101)
    assert len(cohort.replies.getvalue()) < 10_000_000
    cohort.flush(HOLD)
    assert not cohort.is_full()
    assert cohort.replies.tell() == 0
    reply(cohort, 2_100, 2_100, 2_101)
    assert cohort.take(DRAIN)[Phase.HOLD].counters["received"] > 2


def test_what_was_filed_is_not_filed_again() -> None:
    cohort = recorder()
    for _ in range(3):
        reply(cohort, 2_100, 2_100, 2_101)
        cohort.note_send(pack_send(HOLD, HOLD))
    assert cohort.take(HOLD + 1)[Phase.HOLD].counters == {"sent": 3, "received": 3}
    reply(cohort, 2_200, 2_200, 2_201)
    part = cohort.take(DRAIN)[Phase.HOLD]
    assert part.counters == {"received": 1}
    assert dense(part.histograms["echo_service"]).total() == 1


def test_a_closed_loop_has_no_lag() -> None:
    cohort = recorder()
    cohort.note_send(pack_send(HOLD, 0))
    part = cohort.take(DRAIN)[Phase.HOLD]
    assert part.counters == {"sent": 1}
    assert part.histograms == {}
