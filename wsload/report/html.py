"""One self-contained page for a run or a campaign: no script, no other file, no other host.

Plots are put in as images with their SVG inside the page, so that their identifiers cannot clash.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2

from wsload.analysis.capacity_file import read_capacity
from wsload.analysis.control import control_arms
from wsload.analysis.folder import RunFolder
from wsload.analysis.recommend import Recommendation
from wsload.errors import RecordingError
from wsload.record.layout import PLOTS, REPORT
from wsload.record.outcome import Validity, Verdict
from wsload.record.summary import Summary
from wsload.report import recommendation_wording, wording
from wsload.report.capacity_wording import capacity_rows
from wsload.report.control_wording import control_sentences
from wsload.report.doubt_wording import doubt_rows, shown_spans
from wsload.report.kernel_wording import kernel_rows
from wsload.report.text import WORDS, axis_name, fact_heading, fact_text, table_columns
from wsload.units import NS_PER_MS, format_duration

VERDICT_CLASSES: Mapping[str, str] = {Verdict.PASSED: "good", Verdict.FAILED: "bad", Verdict.NONE: "quiet"}
VALIDITY_CLASSES: Mapping[str, str] = {
    Validity.VALID: "good",
    Validity.SUSPECT: "doubt",
    Validity.INVALID: "bad",
}
_EXPLANATIONS = {
    False: "Held: open at the end of the hold. Lost: ended by no plan.",
    True: "Capacity: live tunnels within the SLO, at so many clients offered. At limit: live tunnels, "
    "whatever an idle timer cut; cuts and ghosts are at so many.",
}
"""Of the columns of cells that hold a load, and of those that search."""
_COLUMN_CLASSES: dict[str, Mapping[str, str]] = {"slo": VERDICT_CLASSES, "validity": VALIDITY_CLASSES}


@dataclass(frozen=True)
class _Plot:
    source: str
    caption: str


@dataclass(frozen=True)
class _Cell:
    text: str
    style: str = ""
    link: str = ""
    number: bool = False


def write_html(folder: RunFolder, summary: Summary) -> Path:
    """Write ``report.html`` into a run's folder, with the plots that stand in it; returns its path.

    Raises:
        RecordingError: it cannot be written.
    """
    info = folder.info
    timers = [(name, format_duration(value * NS_PER_MS)) for name, value in info.named_timers_ms().items()]
    page = _templates().get_template("run.html")
    return _write(
        folder.path,
        page.render(
            title=f"{summary.title} - wsload",
            headline=wording.headline(summary),
            settings=wording.settings(summary),
            summary=summary,
            verdict=wording.verdict_line(summary),
            verdict_class=VERDICT_CLASSES[Verdict(summary.verdict.slo)],
            validity=wording.validity_line(summary),
            validity_class=VALIDITY_CLASSES[Validity(summary.verdict.validity)],
            slo_rows=[(row, wording.slo_value(row)) for row in summary.verdict.slo_rows],
            capacity_rows=capacity_rows(summary),
            tunnel_rows=[
                *wording.tunnel_rows(summary),
                *wording.ledger_rows(summary),
                *wording.stand_in_rows(summary),
                *wording.failure_rows(summary),
            ],
            statistics=list(wording.STATISTICS),
            latency_rows=wording.latency_rows(summary),
            traffic_rows=wording.traffic_rows(summary),
            disconnect_rows=[
                *wording.disconnect_rows(summary),
                *wording.cause_rows(summary),
                *wording.evidence_rows(summary),
            ],
            findings=summary.findings,
            role_rows=wording.role_rows(summary),
            kernel_rows=kernel_rows(summary),
            doubt_rows=doubt_rows(summary),
            spans=shown_spans(summary.doubts),
            validity_classes=VALIDITY_CLASSES,
            timers=timers,
            plots=_plots(folder.path),
            folder=folder.path.name,
        ),
    )


def write_campaign_html(folder: Path, title: str, advice: Recommendation | None = None) -> Path:
    """Write ``report.html`` into a campaign's folder: what it recommends, its table and plots, links to its
    runs.

    Raises:
        FolderError: ``folder`` is no campaign's.
        RecordingError: it cannot be written.
    """
    rows = read_capacity(folder)
    names = table_columns(rows)
    page = _templates().get_template("campaign.html")
    return _write(
        folder,
        page.render(
            title=title,
            headings=[(fact_heading(name) or axis_name(name, names), name not in WORDS) for name in names],
            rows=[[_cell(name, row[name], folder) for name in names] for row in rows],
            explanation=_EXPLANATIONS["capacity" in names],
            advice=recommendation_wording.paragraph(advice) if advice else "",
            advice_rows=recommendation_wording.rows(advice) if advice else [],
            config_lines=recommendation_wording.config_lines(advice) if advice else [],
            plots=_plots(folder),
            control=control_sentences(control_arms(folder)),
            folder=folder.name,
        ),
    )


def _cell(name: str, value: str, folder: Path) -> _Cell:
    link = f"{quote(value)}/{REPORT}" if name == "run" and (folder / value / REPORT).is_file() else ""
    return _Cell(
        fact_text(name, value),
        style=_COLUMN_CLASSES.get(name, {}).get(value, ""),
        link=link,
        number=name not in WORDS,
    )


def _plots(folder: Path) -> list[_Plot]:
    """Every SVG of ``plots/``, by name."""
    return [
        _Plot(
            "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode(),
            path.stem.replace("-", " ").replace("_", " "),
        )
        for path in sorted((folder / PLOTS).glob("*.svg"))
    ]


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("wsload.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _write(folder: Path, page: str) -> Path:
    """By temporary file and rename: a reader never sees half a page."""
    path = folder / REPORT
    unfinished = path.with_suffix(".html.tmp")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise RecordingError(
            f"{path}: cannot be written ({error.strerror}); free space or name another folder"
        ) from error
    return path
