"""Writes a run's final verdicts into its folder; may be done again, also with another log."""

from pathlib import Path

from wsload.analysis.folder import RunFolder
from wsload.analysis.verdicts import RunVerdicts, on_the_path
from wsload.record import layout
from wsload.record.layout import Attribution
from wsload.run.folder import FolderWriter


def write_verdicts(out: Path, external_log: Path | None = None) -> Attribution:
    """Join the evidence of every end, write the causes into the two tables, and ``attribution.json``."""
    verdicts = RunVerdicts(RunFolder(out), external_log)
    writer = FolderWriter(out)
    writer.replace_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, verdicts.disconnects())
    writer.replace_rows(layout.HANDSHAKE_FAILURES, layout.HANDSHAKE_FAILURE_COLUMNS, verdicts.failures())
    found = verdicts.unexplained_clusters()
    if any(found.values()):
        moved = (on_the_path(row, found) for row in RunFolder(out).iter_disconnects())
        writer.replace_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, moved)
    attribution = verdicts.attribution()
    writer.write_json(layout.ATTRIBUTION, attribution)
    return attribution
