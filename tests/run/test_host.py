"""What a run writes of its host."""

from pathlib import Path

import msgspec

from wsload.record import layout
from wsload.record.layout import HostLine
from wsload.run.folder import FolderWriter
from wsload.run.host import Clocks, HostWatch, read_clocks
from wsload.units import NS_PER_S

STILL = Clocks(boot_ns=5, wall_ns=9)


def made_tree(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def line_of(folder: Path) -> HostLine:
    return msgspec.json.decode((folder / layout.HOST).read_bytes().splitlines()[-1], type=HostLine)


def test_a_reading_has_all_that_the_host_offers(tmp_path: Path) -> None:
    proc = made_tree(
        tmp_path / "proc",
        {
            "stat": "cpu0 100 0 0 300 0 0 0 50 0 0\ncpu1 900 0 0 0 0 0 0 0 0 0\n",
            "vmstat": "pswpin 1\npswpout 2\n",
            "sys/net/netfilter/nf_conntrack_count": "70\n",
            "sys/net/netfilter/nf_conntrack_max": "100\n",
            "net/stat/nf_conntrack": "entries drop\n00000046 0000000a\n",
        },
    )
    sys = made_tree(
        tmp_path / "sys", {"devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"}
    )
    HostWatch(FolderWriter(tmp_path), {0}, proc, sys, lambda: STILL).note(2.5, lost_logs=4)
    line = line_of(tmp_path)
    assert line.idle_s / line.busy_s == 2
    assert line.stolen_s * 3 == line.busy_s
    assert line.swapped_bytes % 3 == 0
    assert line.swapped_bytes >= 3 * 4096
    assert (line.t_s, line.conntrack, line.conntrack_max, line.conntrack_drops) == (2.5, 70, 100, 10)
    assert (line.clocksource, line.lost_logs) == ("hpet", 4)


def test_what_this_system_does_not_offer_is_left_out(tmp_path: Path) -> None:
    nowhere = made_tree(tmp_path / "proc", {"stat": "cpu0 one two\n", "vmstat": ""})
    HostWatch(FolderWriter(tmp_path), {0}, nowhere, nowhere, lambda: STILL).note(1.0, 0)
    assert line_of(tmp_path) == HostLine(t_s=1.0)


def test_clocks_that_jumped_are_told_from_the_first_reading_on(tmp_path: Path) -> None:
    clocks = [STILL, Clocks(STILL.boot_ns + 3 * NS_PER_S, STILL.wall_ns - NS_PER_S // 4)]
    watch = HostWatch(FolderWriter(tmp_path), {0}, tmp_path, tmp_path, lambda: clocks.pop(0))
    watch.note(1.0, 0)
    line = line_of(tmp_path)
    assert (line.suspended_s, line.wall_step_s) == (3, -0.25)


def test_this_hosts_clocks_stand_still_to_each_other() -> None:
    before, after = read_clocks(), read_clocks()
    assert abs(after.boot_ns - before.boot_ns) < NS_PER_S // 2
    assert abs(after.wall_ns - before.wall_ns) < NS_PER_S // 2
