"""The join: each entry once, the nearest before a tunnel, never one that had ended before it."""

import pytest

from wsload.analysis.join import SLACK_S, AddressIndex, Joiner
from wsload.analysis.log_formats import LogFormat, LogRecord
from wsload.analysis.sources import fits
from wsload.record.summary import Completeness

IP, PORT = "127.0.0.2", 40_000
STARTED_UNIX_S = 1_795_000_000.0


def record(termination: str, accept_s: float, end_s: float) -> LogRecord:
    """Times are the run's."""
    return LogRecord(
        line=1,
        format=LogFormat.TCP,
        client_ip=IP,
        client_port=PORT,
        accept_unix_s=STARTED_UNIX_S + accept_s,
        end_unix_s=STARTED_UNIX_S + end_s,
        frontend="f",
        backend="b",
        server="s",
        status=None,
        termination=termination,
        queue_ms=None,
        connect_ms=None,
        response_ms=None,
        total_ms=round((end_s - accept_s) * 1000),
        bytes_to_client=0,
    )


def index_of(*records: LogRecord) -> AddressIndex[LogRecord]:
    index: AddressIndex[LogRecord] = AddressIndex()
    for entry in records:
        index.add(IP, PORT, entry.accept_unix_s, entry.end_unix_s, entry)
    return index


def found(index: AddressIndex[LogRecord], began_s: float, opened_s: float) -> str:
    record, _ = Joiner(index, AddressIndex(), STARTED_UNIX_S, 0.0).find(IP, PORT, began_s, opened_s)
    return record.termination if record is not None else ""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_port_used_twice_gives_each_tunnel_its_own_line(order: tuple[int, int]) -> None:
    records = (record("cD", 1, 10), record("SD", 20, 30))
    index = index_of(*(records[number] for number in order))
    assert found(index, 0, 20) == "SD"
    assert found(index, 0, 1) == "cD"
    assert found(index, 0, 1) == ""


def test_the_line_of_a_connection_that_had_ended_is_not_the_next_ones() -> None:
    index = index_of(record("SD", 1, 10))
    assert found(index, 0, 20) == ""
    assert index.left == 1
    assert found(index, 0, 10 + SLACK_S / 2) == "SD"  # clocks are read a little apart


def test_a_ghosts_port_that_is_used_again_at_once_gives_each_its_own_line() -> None:
    # The ghost vanished at 10.5; the next client's SYN made the kernel reset what HAProxy still held.
    index = index_of(record("CD", 10, 11.4), record("cD", 11.41, 30))
    assert found(index, 0, 10.002) == "CD"
    assert found(index, 0, 11.42) == "cD"
    assert found(index_of(record("cD", 11.41, 30), record("CD", 10, 11.4)), 0, 11.42) == "cD"


def test_a_clock_that_is_ahead_is_found_out_and_can_be_made_good() -> None:
    index = index_of(record("cD", 3601, 3610))
    assert found(index, 0, 1) == ""
    ahead = Joiner(index, AddressIndex(), STARTED_UNIX_S + 3600, 0.0)
    assert ahead.find(IP, PORT, 0, 1)[0] is not None


def test_half_of_the_ends_make_a_log_fit() -> None:
    assert fits(Completeness(ended=10, matched=5))
    assert not fits(Completeness(ended=10, matched=4))
    assert fits(Completeness())


def test_the_span_and_the_clients_of_what_was_logged_are_known() -> None:
    index: AddressIndex[str] = AddressIndex()
    assert (index.span_s, index.ips) == ((0.0, 0.0), set())
    for began_s, ended_s in ((5.0, 6.0), (1.0, 9.0), (2.0, 3.0)):
        index.add(IP, PORT, began_s, ended_s, "x")
    assert (index.span_s, index.ips) == ((1.0, 9.0), {IP})
