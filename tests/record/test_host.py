"""Reading the host's own figures."""

import pytest

from wsload.record.host import CpuTimes, parse_conntrack_drops, parse_cpu_times, parse_swapped_pages

STAT = """\
cpu  300 40 100 2000 60 0 8 4 0 0
cpu0 100 40 50 1000 10 0 5 3 0 0
cpu1 200 0 50 1000 50 0 3 1 0 0
cpu10 9999 0 0 0 0 0 0 0 0 0
intr 123 0 9
"""


def test_times_are_of_the_cores_asked_for() -> None:
    times = parse_cpu_times(STAT, {1}, ticks_per_s=100, nice_gives_way=False)
    assert times == CpuTimes(busy_s=2.54, idle_s=10.5, stolen_s=0.01)


def test_several_cores_add_up() -> None:
    times = parse_cpu_times(STAT, {0, 1}, ticks_per_s=100, nice_gives_way=False)
    assert times == CpuTimes(busy_s=4.52, idle_s=20.6, stolen_s=0.04)


def test_programs_that_give_way_are_no_load() -> None:
    times = parse_cpu_times(STAT, {0}, ticks_per_s=100, nice_gives_way=True)
    assert times == CpuTimes(busy_s=1.58, idle_s=10.5, stolen_s=0.03)


def test_pages_swapped_in_and_out_add_up() -> None:
    assert parse_swapped_pages("pgfault 9\npswpin 3\npswpout 40\n") == 43
    assert parse_swapped_pages("pgfault 9\n") == 0


@pytest.mark.parametrize(
    ("text", "drops"),
    [
        ("entries drop found early_drop\n0000000a 00000010 00000001 00000002\n0000000a 00000001 0 0\n", 19),
        ("entries found\n0000000a 00000001\n", 0),
        ("", 0),
    ],
)
def test_conntracks_drops_are_hexadecimal_and_of_all_cores(text: str, drops: int) -> None:
    assert parse_conntrack_drops(text) == drops
