"""The kernel's counters, read from text."""

from wsload.record.kernel import increase, parse_counters

SNMP = """\
Ip: Forwarding DefaultTTL InReceives InDiscards OutDiscards
Ip: 2 64 36236123 0 5
Icmp: InMsgs InErrors
Icmp: 532 9
Tcp: RtoAlgorithm MaxConn CurrEstab InSegs RetransSegs InErrs
Tcp: 1 -1 0 35627916 2908 291
Udp: InDatagrams InErrors
Udp: 606947 7
"""
NETSTAT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts TCPBacklogDrop TCPSynRetrans
TcpExt: 0 581 582 2543 3 848
IpExt: InNoRoutes InOctets
IpExt: 0 11933008430
"""


def test_counters_are_found_under_their_protocols_and_others_are_left_out() -> None:
    assert parse_counters(SNMP) == {"InDiscards": 0, "OutDiscards": 5, "RetransSegs": 2908, "InErrs": 291}
    assert parse_counters(NETSTAT) == {
        "ListenOverflows": 581,
        "ListenDrops": 582,
        "TCPTimeouts": 2543,
        "TCPBacklogDrop": 3,
        "TCPSynRetrans": 848,
    }


def test_counters_of_another_protocol_do_not_pass_for_ours() -> None:
    assert parse_counters("Udp: InErrs\nUdp: 7\n") == {}


def test_text_that_is_no_such_file_holds_no_counters() -> None:
    assert parse_counters("") == {}
    assert parse_counters("Tcp: RetransSegs") == {}
    assert parse_counters("Tcp: RetransSegs\nUdp: 4\n") == {}


def test_only_counters_that_both_readings_have_can_rise() -> None:
    before, after = {"RetransSegs": 10, "InErrs": 1}, {"RetransSegs": 14, "TCPTimeouts": 3}
    assert increase(before, after) == {"RetransSegs": 4}
