import json
import socket
from pathlib import Path

import pytest

from wsload.errors import FolderError
from wsload.haproxy.log import LogReceiver, is_json, json_line


def send(receiver: LogReceiver, *lines: bytes) -> None:
    host, _, port = receiver.address.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for line in lines:
            sock.sendto(line, (host, int(port)))


def test_lines_are_written_in_their_order_and_counted(tmp_path: Path) -> None:
    path, receiver = tmp_path / "log.jsonl", LogReceiver()
    receiver.start(path)
    send(receiver, *(b'{"n":%d}\n' % number for number in range(2000)))
    receiver.stop()
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == list(range(2000))
    assert (receiver.lines, receiver.notices, receiver.dropped) == (2000, 0, 0)


def test_a_line_that_is_no_json_is_kept_as_raw_text(tmp_path: Path) -> None:
    path, receiver = tmp_path / "log.jsonl", LogReceiver()
    receiver.start(path)
    send(receiver, b"Proxy pages stopped.\n", b'{"a":1}\n')
    receiver.stop()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"raw": "Proxy pages stopped."},
        {"a": 1},
    ]
    assert (receiver.lines, receiver.notices) == (1, 1)


def test_what_is_there_already_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"first":1}\n')
    receiver = LogReceiver()
    receiver.start(path)
    send(receiver, b'{"second":2}')
    receiver.stop()
    assert path.read_text() == '{"first":1}\n{"second":2}\n'


def test_a_full_disk_is_remembered_and_lines_are_still_counted() -> None:
    receiver = LogReceiver()
    receiver.start(Path("/dev/full"))
    send(receiver, b'{"a":1}', b'{"a":2}')
    receiver.stop()
    assert receiver.error is not None
    assert receiver.error.strerror == "No space left on device"
    assert receiver.lines == 2


def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"absent/log\.jsonl: cannot be written: No such file"):
        LogReceiver().start(tmp_path / "absent" / "log.jsonl")


def test_stopping_twice_or_before_the_start_is_harmless(tmp_path: Path) -> None:
    receiver = LogReceiver()
    receiver.stop()
    receiver.start(tmp_path / "log.jsonl")
    assert receiver.receive_buffer_bytes > 0
    receiver.stop()
    receiver.stop()
    assert receiver.receive_buffer_bytes == 0


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b'{"a":1}\n', b'{"a":1}\n'),
        (b'{"a":', b'{"raw":"{\\"a\\":"}\n'),
        (b"[1]", b'{"raw":"[1]"}\n'),
        (b'{"a":\n1}', b'{"raw":"{\\"a\\":\\n1}"}\n'),
        (b"\xff", '{"raw":"\ufffd"}\n'.encode()),
        (b"", b'{"raw":""}\n'),
    ],
)
def test_only_an_object_on_one_line_is_kept_as_it_is(line: bytes, kept: bytes) -> None:
    assert json_line(line, is_json(line)) == kept
