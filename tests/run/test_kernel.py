"""What a run writes of the kernel's counters."""

from pathlib import Path

import msgspec

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.record import layout
from wsload.record.layout import KernelLine
from wsload.run.folder import FolderWriter
from wsload.run.kernel import KernelWatch, read_counters


def made_proc(path: Path, overflows: int) -> Path:
    path.mkdir(exist_ok=True)
    (path / "snmp").write_text("Tcp: RetransSegs\nTcp: 7\n")
    (path / "netstat").write_text(f"TcpExt: ListenOverflows\nTcpExt: {overflows}\n")
    return path


def lines_of(folder: Path) -> list[KernelLine]:
    text = (folder / layout.KERNEL).read_bytes()
    return [msgspec.json.decode(line, type=KernelLine) for line in text.splitlines()]


def test_a_line_is_written_at_first_and_where_a_counter_has_risen(tmp_path: Path) -> None:
    watch = KernelWatch(FolderWriter(tmp_path), made_proc(tmp_path / "net", 3))
    watch.note(0.0)
    watch.note(1.0)
    made_proc(tmp_path / "net", 5)
    watch.note(2.0004)
    watch.note(3.0)
    assert lines_of(tmp_path) == [
        KernelLine(0.0, {"RetransSegs": 7, "ListenOverflows": 3}),
        KernelLine(2.0, {"RetransSegs": 7, "ListenOverflows": 5}),
    ]


def test_a_system_without_these_files_leaves_one_line_without_counters(tmp_path: Path) -> None:
    watch = KernelWatch(FolderWriter(tmp_path), tmp_path / "nowhere")
    watch.note(0.0)
    watch.note(1.0)
    assert lines_of(tmp_path) == [KernelLine(0.0, {})]


def test_one_file_is_better_than_none(tmp_path: Path) -> None:
    (made_proc(tmp_path / "net", 3) / "netstat").unlink()
    assert read_counters(tmp_path / "net") == {"RetransSegs": 7}


def test_this_host_counts_what_tells_lossy_from_slow() -> None:
    assert read_counters().keys() >= {"RetransSegs", "ListenOverflows", "ListenDrops", "TCPTimeouts"}


def test_a_folder_gives_back_the_lines_that_a_watch_wrote(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    KernelWatch(FolderWriter(folder), made_proc(tmp_path / "net", 3)).note(0.0)
    assert list(RunFolder(folder).iter_kernel()) == lines_of(folder)
