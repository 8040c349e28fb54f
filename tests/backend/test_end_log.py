"""The file of ended tunnels, as one process writes it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from wsload.backend.end_log import EndLog
from wsload.record.backend_log import VERSION, BackendEnd, BackendWire, EndedBy, Kind


def end(port: int) -> BackendEnd:
    return BackendEnd(
        v=VERSION,
        kind=Kind.TUNNEL,
        process=0,
        ip="127.0.0.1",
        port=port,
        opened_ns=1,
        ended_ns=2,
        ended_by=EndedBy.PEER,
        wire=BackendWire.FIN,
    )


def within_loop(act: Callable[[], None]) -> None:
    async def run() -> None:
        act()

    asyncio.run(run())


def test_lines_of_several_processes_append_to_one_file_and_are_held_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "ends.jsonl"
    path.write_text("before\n")

    def act() -> None:
        logs = [EndLog(str(path)), EndLog(str(path))]
        for port in range(10):
            logs[port % 2].add(end(port))
        assert path.read_text() == "before\n"
        for log in logs:
            log.close()
            log.close()
        assert [log.lines for log in logs] == [5, 5]

    within_loop(act)
    before, *lines = path.read_bytes().splitlines()
    assert before == b"before"
    assert [msgspec.json.decode(line, type=BackendEnd).port for line in lines] == [
        0,
        2,
        4,
        6,
        8,
        1,
        3,
        5,
        7,
        9,
    ]


def test_what_is_held_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "ends.jsonl"

    def act() -> None:
        log = EndLog(str(path))
        for port in range(2500):
            log.add(end(port))
        assert len(path.read_bytes().splitlines()) == 2000
        log.close()
        assert len(path.read_bytes().splitlines()) == 2500

    within_loop(act)


@pytest.mark.parametrize(
    ("path", "error"),
    [("/dev/full", "No space left on device"), ("/no/such/folder", "No such file or directory")],
)
def test_a_disk_that_refuses_ends_the_writing_and_what_is_lost_is_counted(path: str, error: str) -> None:
    def act() -> None:
        log = EndLog(path)
        for port in range(3):
            log.add(end(port))
        log.flush()
        log.add(end(3))
        log.close()
        assert (log.error, log.lines, log.lost) == (error, 4, 4)

    within_loop(act)


def test_a_line_is_short_and_leaves_out_what_there_is_not() -> None:
    line = msgspec.json.encode(end(1))
    assert b"close_code" not in line
    assert b"status" not in line
    assert b"peer_fin_ns" not in line
    assert b'"v":1' in line
