"""Text captured from HAProxy 2.6.12, 3.0.11 and 3.2.26, cut to its first and last columns.

The zeros of an idle HAProxy are replaced by numbers that tell the columns apart.
"""

import asyncio

import pytest

from wsload.haproxy.config import names_of
from wsload.haproxy.stats import StatsClient, parse_info, parse_stat, parse_version, row_of
from wsload.record.layout import HAPROXY_STATS_COLUMNS

INFO_LINES = """\
Name: HAProxy
Version: {version}
Nbthread: 1
Pid: 8885
Uptime: 0d 0h00m00s
Maxconn: 50
CurrConns: 7
CumConns: 12
ConnRate: 3
Idle_pct: 98
node: vm
DroppedLogs: 2
PoolFailed: 4
PoolAlloc_bytes: 5500000
PoolUsed_bytes: 54208
"""
INFO = {
    "2.6.12": INFO_LINES.format(version="2.6.12-1+deb12u4"),
    "3.0.11": INFO_LINES.format(version="3.0.11-1+deb13u3") + "MaxconnReached: 0\n",
    "3.2.26": INFO_LINES.format(version="3.2.26-1") + "MaxconnReached: 0\n",
}

COLUMNS = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,"
)
ROWS = """\
clients,FRONTEND,,,6,6,50,9,0,0,0,0,0,,,,,OPEN,{frontend}
tunnels,tunnel1,1,0,5,0,,0,0,0,,0,,0,0,0,0,no check,{other}
tunnels,BACKEND,2,0,5,0,5,0,0,0,0,0,,0,0,0,0,UP,{other}
pages,page1,0,0,0,0,,0,0,0,,0,,0,0,0,0,no check,{other}
pages,BACKEND,0,0,0,0,5,0,0,0,0,0,,0,0,0,0,UP,{other}

"""
STAT = {
    "2.6.12": COLUMNS + "-,ssl_sess,\n" + ROWS.format(frontend="-,0,", other="-,0,"),
    "3.0.11": COLUMNS + "srid,proto,-,ssl_sess,\n" + ROWS.format(frontend=",,-,0,", other="0,,-,0,"),
    "3.2.26": COLUMNS
    + "srid,proto,-,ssl_sess,ssl_ocsp_staple,\n"
    + ROWS.format(frontend=",,-,0,0,", other="0,,-,0,0,"),
}


@pytest.mark.parametrize("version", INFO)
def test_a_row_has_every_column_and_the_right_numbers(version: str) -> None:
    row = row_of(
        parse_info(INFO[version]), parse_stat(STAT[version]), t_s=2.5, process=1, pid=77, usage=(1.25, 4096)
    )
    assert tuple(row) == HAPROXY_STATS_COLUMNS
    assert row == {
        "t_s": 2.5,
        "process": 1,
        "pid": 77,
        "version": version,
        "curr_conns": 7,
        "slots": 6,
        "maxconn": 50,
        "queue": 3,
        "conn_rate": 3,
        "cum_conns": 12,
        "pool_used_mb": 0.054208,
        "pool_alloc_mb": 5.5,
        "idle_pct": 98,
        "dropped_logs": 2,
        "cpu_s": 1.25,
        "rss_bytes": 4096,
        "pool_failed": 4,
    }


def test_of_a_shared_process_a_row_has_the_connections_of_its_own_frontend() -> None:
    stat = parse_stat(
        "# pxname,svname,qcur,scur,slim,conn_rate,conn_tot,\n"
        "clients-1,FRONTEND,,6,50,3,9,\ntunnels-1,BACKEND,2,5,5,,,\n"
        "clients-2,FRONTEND,,4,40,1,5,\ntunnels-2,BACKEND,7,3,4,,,\n"
    )
    info = parse_info(INFO["2.6.12"])
    figures = {"t_s": 2.5, "process": 0, "pid": 77, "usage": (1.25, 4096), "is_shared": True}
    rows = [row_of(info, stat, names=names_of(route, 2), **figures) for route in (0, 1)]  # type: ignore[arg-type]
    columns = ("curr_conns", "slots", "maxconn", "queue", "conn_rate", "cum_conns", "cpu_s", "dropped_logs")
    assert [[row[column] for column in columns] for row in rows] == [
        [6, 6, 50, 2, 3, 9, 1.25, 2],
        [4, 4, 40, 7, 1, 5, 1.25, 2],
    ]


def test_stat_rows_are_found_by_their_header_whatever_its_order() -> None:
    assert parse_stat("# svname,new,pxname,\nFRONTEND,1,f,\n\n") == [
        {"svname": "FRONTEND", "new": "1", "pxname": "f", "": ""}
    ]


def test_empty_answers_give_no_rows() -> None:
    assert parse_info("") == {}
    assert parse_stat("") == []


def test_a_value_with_colons_stays_whole() -> None:
    assert parse_info("Uptime: 0d 0h00m01s\nNode: a: b\n")["Node"] == "a: b"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
        ("HA-Proxy version 2.0.33-0+deb10u1 2023/12/15", "2.0.33"),
        ("HAProxy version 3.4-dev2-abcdef 2026/01/07", "3.4-dev2"),
        ("no such thing", ""),
    ],
)
def test_the_version_is_cut_out_of_haproxys_words(text: str, version: str) -> None:
    assert parse_version(text) == version


def test_asking_nobody_is_an_os_error() -> None:
    with pytest.raises(OSError, match="refused"):
        asyncio.run(StatsClient("wsload-nobody-is-here").info())
