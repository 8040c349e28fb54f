"""Writes a run's final verdicts into its folder; may be done again, also with another log."""

import contextlib
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from wsload.analysis.folder import RunFolder
from wsload.analysis.sources import Given, Sources, read_sources
from wsload.analysis.verdicts import RunVerdicts, on_the_path
from wsload.record import layout
from wsload.record.summary import Attribution
from wsload.run.folder import FolderWriter


def write_verdicts(
    out: Path,
    external_log: Path | None = None,
    timers_ms: Mapping[str, int] | None = None,
    log_ahead_s: float | None = None,
) -> Attribution:
    """Join the evidence of every end, write the causes into the two tables, and ``attribution.json``.

    What is None stays as it was said the last time (``evidence.json``). Where the log said then is no
    longer there, the verdicts stay too.

    Raises:
        FolderError: a file of the run, or ``external_log``, cannot be read.
    """
    folder, before = RunFolder(out), read_sources(out).given
    is_said = external_log is not None or timers_ms is not None or log_ahead_s is not None
    stored = folder.attribution()
    if not is_said and stored is not None and before.haproxy_log and not Path(before.haproxy_log).is_file():
        return stored
    given = Given(
        haproxy_log=before.haproxy_log if external_log is None else str(external_log.absolute()),
        timers_ms=before.timers_ms if timers_ms is None else dict(timers_ms),
        log_ahead_s=before.log_ahead_s if log_ahead_s is None else log_ahead_s,
    )
    with _no_search_for_cycles():
        return _write(folder, given)


def _write(folder: RunFolder, given: Given) -> Attribution:
    log = Path(given.haproxy_log) if given.haproxy_log else None
    verdicts = RunVerdicts(folder, log, given.timers_ms, given.log_ahead_s)
    writer = FolderWriter(folder.path)
    writer.replace_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, verdicts.disconnects())
    writer.replace_rows(layout.HANDSHAKE_FAILURES, layout.HANDSHAKE_FAILURE_COLUMNS, verdicts.failures())
    found = verdicts.unexplained_clusters()
    if any(found.values()):
        moved = (on_the_path(row, found) for row in folder.iter_disconnects())
        writer.replace_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, moved)
    if (folder.path / layout.HAPROXY_STATS).is_file():
        rows = map(msgspec.structs.asdict, verdicts.ledger())
        writer.replace_rows(layout.LEDGER, layout.LEDGER_COLUMNS, rows)
    attribution = verdicts.attribution()
    writer.write_json(layout.EVIDENCE, Sources(given=given, log=verdicts.log_fit()))
    writer.write_json(layout.ATTRIBUTION, attribution)
    return attribution


@contextlib.contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Records make no reference cycles; to look for some among millions takes an eighth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
