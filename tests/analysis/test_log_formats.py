"""Log lines: each format from each version and behind each header is read, and nothing is lost silently.

The lines are what HAProxy 2.6.12, 3.0.11 and 3.2.26 wrote to a UDP socket with ``format raw``, ``rfc3164``,
``rfc5424``, ``iso``, ``timed``, ``short`` and ``priority``. Made up after the manual (section 8.2.3) are the
line with IPv6, cookies and captures and the ``~`` of TLS; one ``Tt`` is 1 ms longer, to tell it from ``Ta``.
"""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from wsload.analysis.log_formats import EXAMPLES, LogFile, LogFormat, LogRecord, read_log
from wsload.errors import FolderError

HTTP_LINE = (
    "127.0.0.1:35012 [22/Nov/2026:14:45:02.760] httpf b/s1 0/0/0/1/305 101 132 - - cD-- 8/1/3/3/0 0/0 "
    '{x} "GET /ws?a=1 HTTP/1.1"'
)
TCP_LINE = "127.0.0.1:58790 [22/Nov/2026:14:45:02.761] tcpf tb/s1 1/0/303 129 cD 7/1/1/1/0 0/0"
JSON_LINE = (
    '{"ts":"cD--","st":101,"Tw":0,"Tc":0,"Tr":2,"Ta":303,"Tt":304,"Tu":303,"B":132,"U":141,"ci":"127.0.0.1",'
    '"cp":48008,"bi":"127.0.0.1","bp":"59756","si":"127.0.0.1","sp":"29101","f":"js","b":"b","s":"s1",'
    '"id":"7F000001:BB88_7F000001:71BA_6B02FFF9_0005:7428","r":"\\/ws?a=1","rc":"0",'
    '"t":"22/Nov/2026:14:45:13.997","ac":4,"fc":1,"bc":1,"sc":1,"sq":0,"bq":0,"fc_err":"0","bc_err":"0",'
    '"term_events":"{f1,m1,e1,s7S7S1s1,E1,M1,F1}"}'
)
JSON_LINE_26 = JSON_LINE.partition(',"fc_err"')[0] + "}"

HEADERS = {
    "raw": "",
    "rfc3164": "<134>Nov 22 14:45:03 localhost haproxy[29418]: ",
    "a file of rsyslog": "Nov 22 14:45:03 lb1 haproxy[29418]: ",
    "rfc5424": "<134>1 2026-11-22T14:45:03.065957+00:00 - haproxy 29418 - - ",
    "iso": "2026-11-22T14:45:03.066104+00:00 ",
    "short": "<6>",
    "timed": "<6>2026-11-22T14:45:03.066107+00:00 ",
    "priority": "<134>",
    "journalctl": "Nov 22 14:45:03 lb1 haproxy[29418]: ",
    "journalctl -o short-iso": "2026-11-22T14:45:03+0000 lb1 haproxy[29418]: ",
}

Written = Callable[..., LogFile]


@pytest.fixture
def log(tmp_path: Path) -> Written:
    def write(*lines: str, zone: timezone = UTC) -> LogFile:
        path = tmp_path / "haproxy.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        return read_log(path, zone)

    return write


def only(log_file: LogFile) -> LogRecord:
    (record,) = log_file.records()
    return record


def unix_s(*parts: int) -> float:
    return datetime(*parts[:6], tzinfo=UTC).timestamp() + parts[6] / 1000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_an_http_line_is_read_behind_every_header(log: Written, header: str) -> None:
    accept_unix_s = unix_s(2026, 11, 22, 14, 45, 2, 760)
    record = only(log(header + HTTP_LINE))
    assert record.accept_unix_s == pytest.approx(accept_unix_s, abs=1e-5)
    assert record.end_unix_s == pytest.approx(accept_unix_s + 0.305, abs=1e-5)
    assert record == LogRecord(
        line=1,
        format=LogFormat.HTTP,
        client_ip="127.0.0.1",
        client_port=35012,
        accept_unix_s=record.accept_unix_s,
        end_unix_s=record.end_unix_s,
        frontend="httpf",
        backend="b",
        server="s1",
        status=101,
        termination="cD--",
        queue_ms=0,
        connect_ms=0,
        response_ms=1,
        total_ms=305,
        bytes_to_client=132,
    )


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_tcp_line_is_read_behind_every_header(log: Written, header: str) -> None:
    record = only(log(header + TCP_LINE))
    assert (record.format, record.client_ip, record.client_port) == (LogFormat.TCP, "127.0.0.1", 58790)
    assert (record.frontend, record.backend, record.server) == ("tcpf", "tb", "s1")
    assert (record.status, record.termination, record.response_ms) == (None, "cD", None)
    assert (record.queue_ms, record.connect_ms, record.total_ms, record.bytes_to_client) == (1, 0, 303, 129)
    assert record.accept_unix_s == pytest.approx(unix_s(2026, 11, 22, 14, 45, 2, 761), abs=1e-5)


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_our_json_is_read_behind_every_header(log: Written, header: str) -> None:
    record = only(log(header.replace("14:45:03", "14:45:14") + JSON_LINE))
    end_unix_s = unix_s(2026, 11, 22, 14, 45, 13, 997) + 0.303
    assert record.end_unix_s == pytest.approx(end_unix_s, abs=1e-5)
    assert record.accept_unix_s == pytest.approx(end_unix_s - 0.304, abs=1e-5), "Tt counts from accept"
    assert (record.backend_source_ip, record.backend_source_port) == ("127.0.0.1", 59756)
    assert (record.fc_err, record.bc_err, record.term_events) == (0, 0, "{f1,m1,e1,s7S7S1s1,E1,M1,F1}")
    assert (record.status, record.termination, record.total_ms) == (101, "cD--", 303)


def test_json_of_older_versions_lacks_what_they_do_not_log(log: Written) -> None:
    record = only(log(JSON_LINE_26))
    assert (record.fc_err, record.bc_err, record.term_events) == (None, None, None)
    unconnected = JSON_LINE_26.replace('"bi":"127.0.0.1","bp":"59756"', '"bi":"-","bp":"-"')
    record = only(log(unconnected.replace('"Tc":0', '"Tc":-1')))
    assert (record.backend_source_ip, record.backend_source_port, record.connect_ms) == (None, None, None)


@pytest.mark.parametrize(
    ("line", "status", "termination", "server"),
    [
        (
            "127.0.0.1:35014 [22/Nov/2026:14:45:02.862] httpf httpf/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- "
            '10/3/0/0/0 0/0 "<BADREQ>"',
            400,
            "PR--",
            "<NOSRV>",
        ),
        (
            "127.0.0.1:33294 [22/Nov/2026:14:45:02.761] dead d/s1 0/0/-1/-1/201 503 217 - - SC-- 8/1/0/0/1 "
            '0/0 "GET /ws?a=1 HTTP/1.1"',
            503,
            "SC--",
            "s1",
        ),
        (
            "127.0.0.1:37890 [22/Nov/2026:14:45:02.761] httpslog~ b/s1 0/0/0/2/303 101 132 - - cD-- "
            '6/1/2/2/0 0/0 "GET /ws?a=1 HTTP/1.1" 0/-/-/-/0 -/-/-',
            101,
            "cD--",
            "s1",
        ),
        (
            "2001:db8::7:35014 [22/Nov/2026:14:45:02.862] httpf b/s1 0/0/0/0/9 -1 0 SID=a1 SID=a2 CDVN "
            '10/3/0/0/+1 0/0 {example.org|a b} {} "GET /ws HTTP/1.1"',
            None,
            "CDVN",
            "s1",
        ),
    ],
    ids=["malformed request", "server down", "httpslog over TLS", "cookies, captures, IPv6"],
)
def test_every_http_line_is_read(
    log: Written, line: str, status: int | None, termination: str, server: str
) -> None:
    record = only(log(line))
    assert (record.status, record.termination, record.server) == (status, termination, server)
    assert record.frontend in {"httpf", "dead", "httpslog"}
    assert record.client_ip in {"127.0.0.1", "2001:db8::7"}


def test_formats_mixed_in_one_file_are_told_apart_line_by_line(log: Written) -> None:
    log_file = log(HTTP_LINE, "", JSON_LINE, TCP_LINE, HEADERS["rfc3164"] + HTTP_LINE)
    assert [record.line for record in log_file.records()] == [1, 3, 4, 5]
    assert log_file.read == {LogFormat.HTTP: 2, LogFormat.JSON: 1, LogFormat.TCP: 1}
    assert (log_file.unread, log_file.examples) == (0, [])


def test_lines_that_cannot_be_read_are_counted_and_the_first_are_kept(log: Written) -> None:
    torn = JSON_LINE[:200]
    connect = "Connect from 127.0.0.1:57536 to 127.0.0.1:29117 (plain/TCP)"
    log_file = log(HTTP_LINE, torn, connect, HTTP_LINE[:80], *["x" * 500] * 9)
    assert len(list(log_file.records())) == 1
    assert log_file.unread == 12
    assert len(log_file.examples) == EXAMPLES
    assert log_file.examples[:2] == [(2, torn), (3, connect)]
    assert log_file.examples[4] == (6, "x" * 200)


@pytest.mark.parametrize(
    "line",
    [
        HTTP_LINE.replace("22/Nov", "32/Nov"),
        HTTP_LINE.replace("22/Nov", "22/Abc"),
        JSON_LINE.replace("22/Nov", "32/Nov"),
        JSON_LINE.replace('"cp":48008', '"cp":"-"'),
        '{"other": "json"}',
        "\ufffd\0binary",
    ],
)
def test_broken_lines_are_never_an_exception(log: Written, line: str) -> None:
    log_file = log(line, TCP_LINE)
    assert only(log_file).line == 2
    assert log_file.unread == 1


def test_lines_wrapped_in_json_are_unwrapped(log: Written) -> None:
    quoted = TCP_LINE.replace('"', '\\"')
    log_file = log(f'{{"raw":"{quoted}"}}', f'{{"PRIORITY":"6","MESSAGE":"{quoted}"}}')
    assert [record.format for record in log_file.records()] == [LogFormat.TCP, LogFormat.TCP]


def test_haproxys_announcements_in_our_own_log_are_no_unread_lines(log: Written) -> None:
    log_file = log('{"raw":"Proxy clients stopped (cumulated conns: FE: 300, BE: 0)."}')
    assert list(log_file.records()) == []
    assert (log_file.notices, log_file.unread) == (1, 0)


def test_lines_written_before_the_end_are_left_out_and_counted(log: Written) -> None:
    early = HTTP_LINE.replace("/305 101 132", "/+1 101 +132")
    log_file = log(early, TCP_LINE.replace("/303 129", "/+3 +129"))
    assert list(log_file.records()) == []
    assert (log_file.early, log_file.unread) == (2, 0)


def test_the_zone_follows_from_a_header_that_has_one(log: Written) -> None:
    in_utc = "2026-11-22T12:45:03.066104+00:00 lb1 haproxy[1]: "
    elsewhere = "2026-11-22T18:15:03.066104+05:30 collector haproxy[1]: "
    for header in (in_utc, elsewhere):
        record = only(log(header + HTTP_LINE))
        assert record.accept_unix_s == pytest.approx(unix_s(2026, 11, 22, 12, 45, 2, 760), abs=1e-5)


def test_the_stamp_of_a_later_import_says_nothing_about_the_zone(log: Written) -> None:
    record = only(log("2026-11-25T09:00:00Z " + HTTP_LINE))
    assert record.accept_unix_s == pytest.approx(unix_s(2026, 11, 22, 14, 45, 2, 760), abs=1e-5)


def test_without_a_header_the_zone_is_the_one_given(log: Written) -> None:
    record = only(log(HTTP_LINE, zone=timezone(timedelta(hours=2))))
    assert record.accept_unix_s == pytest.approx(unix_s(2026, 11, 22, 12, 45, 2, 760), abs=1e-5)


def test_without_any_zone_it_is_this_machines(log: Written, tmp_path: Path) -> None:
    log(HTTP_LINE)
    record = only(read_log(tmp_path / "haproxy.log"))
    here = datetime(2026, 11, 22, 14, 45, 2, 760_000).astimezone()
    assert record.accept_unix_s == pytest.approx(here.timestamp(), abs=1e-5)


def test_a_compressed_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.log.1.gz"
    path.write_bytes(gzip.compress(f"{HTTP_LINE}\n{TCP_LINE}\n".encode()))
    assert len(list(read_log(path).records())) == 2
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FolderError, match=r"haproxy\.log\.1\.gz: cannot be read"):
        list(read_log(path).records())


def test_a_log_that_is_not_there_says_which_flag_names_it(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such file; name HAProxy's log with --haproxy-log"):
        read_log(tmp_path / "none.log")
