import json
from pathlib import Path

from wsload.clock import ManualClock
from wsload.record import layout
from wsload.run.folder import FolderWriter
from wsload.run.journal import Journal
from wsload.units import NS_PER_MS, NS_PER_S


def test_what_happens_before_the_start_happens_at_zero(tmp_path: Path) -> None:
    clock = ManualClock(5 * NS_PER_S)
    journal = Journal(FolderWriter(tmp_path), clock)
    journal.note("workers_ready", workers=2)
    assert journal.begin(200 * NS_PER_MS) == 5 * NS_PER_S + 200 * NS_PER_MS
    assert (journal.elapsed_ns, journal.elapsed_s) == (-200 * NS_PER_MS, 0.0)
    clock.advance(NS_PER_S)
    journal.note("interrupted", signal="SIGINT")
    lines = [json.loads(line) for line in (tmp_path / layout.ACTIONS).read_text().splitlines()]
    assert lines == [
        {"t_s": 0.0, "action": "workers_ready", "detail": {"workers": 2}},
        {"t_s": 0.8, "action": "interrupted", "detail": {"signal": "SIGINT"}},
    ]
