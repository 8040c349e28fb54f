"""A run, a campaign or a comparison as text for a terminal. Everything here returns strings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wsload.analysis.capacity_file import CONTROL_FACTS
from wsload.analysis.compare import Comparison
from wsload.analysis.recommend import Recommendation
from wsload.record.outcome import Validity, Verdict
from wsload.record.summary import Summary
from wsload.report import recommendation_wording, wording
from wsload.report.capacity_wording import capacity_rows
from wsload.report.doubt_wording import doubt_rows
from wsload.report.kernel_wording import kernel_rows
from wsload.report.wording import STATISTICS, Row
from wsload.units import format_share

PASSED, FAILED = "✓", "✗"
VERDICT_STYLES: Mapping[str, str] = {
    Verdict.PASSED: "bold green",
    Verdict.FAILED: "bold red",
    Verdict.NONE: "dim",
}
VALIDITY_STYLES: Mapping[str, str] = {
    Validity.VALID: "green",
    Validity.SUSPECT: "yellow",
    Validity.INVALID: "bold red",
}
NAME_WIDTH = 27
"""Dotted names are at least this wide, so that all parts of the page line up."""
WIDE = 90
"""Columns from which a campaign's table has room for wide gaps."""
FACT_HEADINGS = {
    "planned": "planned",
    "opened": "opened",
    "held": "held",
    "held_share": "held %",
    "disconnect_unexpected": "lost",
    "peak_slots": "slots",
    "slo": "SLO",
    "validity": "validity",
    "capacity": "capacity",
    "level": "offered",
    "first_failed": "failed at",
    "limit": "limit",
    "live_at_limit": "at limit",
    "cuts_per_hour": "cuts/h",
    "ghosts": "ghosts",
    "run": "run",
}
"""Columns of ``capacity.csv`` that are no axes, and their headings."""
WORDS = frozenset({"slo", "validity", "limit", "run"})
"""Those of them that are no numbers."""
_OF_PLAIN_CELLS = ("planned", "opened", "held", "held_share", "disconnect_unexpected", "peak_slots")
_OF_SEARCHES = ("capacity", "level", "first_failed", "limit", "live_at_limit", "cuts_per_hour", "ghosts")


def final_text(summary: Summary, folder_path: Path, color: bool = False, width: int = 100) -> str:
    """A run's result, the verdict first. ``width`` in columns; good from 80, best from 110."""
    rows = {
        "intervals": doubt_rows(summary),
        "capacity": capacity_rows(summary),
        "tunnels": [
            *wording.tunnel_rows(summary),
            *wording.ledger_rows(summary),
            *wording.stand_in_rows(summary),
            *wording.failure_rows(summary),
        ],
        "latency": wording.latency_rows(summary),
        "traffic": wording.traffic_rows(summary),
        "disconnects": [
            *wording.disconnect_rows(summary),
            *wording.cause_rows(summary),
            *wording.evidence_rows(summary),
        ],
        "roles": [*wording.role_rows(summary), *kernel_rows(summary)],
    }
    name_width = max([NAME_WIDTH, *(len(row.name) + 2 for part in rows.values() for row in part)])
    parts: list[RenderableType] = [_title(summary), "", *_verdict(summary), *_validity(summary), ""]
    if rows["intervals"]:
        parts += [*_dotted(rows["intervals"], name_width, width), ""]
    if rows["capacity"]:
        parts += [*_dotted(rows["capacity"], name_width, width), ""]
    parts += [*_dotted(rows["tunnels"], name_width, width, aligned=True), ""]
    if rows["latency"] or rows["traffic"]:
        parts += [
            *_latencies(rows["latency"], name_width, width),
            *_dotted(rows["traffic"], name_width, width),
            "",
        ]
    if rows["disconnects"]:
        parts += [*_dotted(rows["disconnects"], name_width, width), ""]
    if summary.findings:
        parts += [*(Text(f"→ {finding}", overflow="fold") for finding in summary.findings), ""]
    if rows["roles"]:
        parts += [*_dotted(rows["roles"], name_width, width), ""]
    # A path that is broken over lines cannot be copied, so it may be wider than the rest.
    return f"{render(parts, color, width)}results in {folder_path}"


def campaign_table(rows: Sequence[Mapping[str, str]], color: bool = False, width: int = 100) -> str:
    """The rows of a campaign's ``capacity.csv`` as a table."""
    if not rows:
        return "no cell has run\n"
    gap = 2 if width >= WIDE else 1
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    names = table_columns(rows)
    if "capacity" in names:  # as many columns as there is room for: the axes name the run as well
        names.remove("run")
    for name in names:
        right = name not in WORDS
        heading = fact_heading(name) or axis_name(name, names)
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        cells = [_fact(name, row[name]) for name in names]
        # A control has no place on the axes.
        table.add_row(*([Text(row["run"]), *cells[1:]] if not row[names[0]] else cells))
    return render([table], color, width)


def recommendation_text(advice: Recommendation, color: bool = False, width: int = 100) -> str:
    """What a campaign recommends: a paragraph, the numbers, and lines for haproxy.cfg."""
    rows = recommendation_wording.rows(advice)
    name_width = max([NAME_WIDTH, *(len(row.name) + 2 for row in rows)])
    style = "bold" if advice.timer_s is not None else "yellow"
    parts: list[RenderableType] = ["", Text(recommendation_wording.paragraph(advice), style=style), ""]
    parts += _dotted(rows, name_width, width)
    lines = recommendation_wording.config_lines(advice)
    if lines:
        parts += ["", Text("\n".join(f"    {line}" for line in lines))]
    return render(parts, color, width)


def table_columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The columns of ``capacity.csv`` that say something of cells that search, or of cells that hold.

    What a control adds is told in sentences.
    """
    searched = any(row.get("capacity") for row in rows)
    left_out = {*(_OF_PLAIN_CELLS if searched else _OF_SEARCHES), *CONTROL_FACTS}
    return [name for name in (rows[0] if rows else ()) if name not in left_out]


def comparison_text(comparison: Comparison, color: bool = False, width: int = 100) -> str:
    """Runs beside each other, the first as the yardstick: each value, and its ratio to the first's."""
    parts: list[RenderableType] = []
    for letter, run in zip(comparison.letters, comparison.runs, strict=True):
        line = Text(f"{letter}  {run.name}", style="bold")
        line.append(f"  {run.title}, {run.started}", style="dim")
        parts.append(line)
    parts += [Text(f"! {warning}", style="yellow") for warning in comparison.warnings]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for letter in comparison.letters:
        table.add_column(letter, justify="right")
    for row in comparison.rows:
        cells = []
        for position, (value, ratio) in enumerate(zip(row.values, row.ratios, strict=True)):
            text = Text("-" if value is None else row.format(value))
            if position and ratio is not None:
                text.append(f"  x{ratio:.2f}", style="dim")
            cells.append(text)
        table.add_row(row.name, *cells)
    return render([*parts, "", table], color, width)


def _title(summary: Summary) -> Text:
    title = Text(wording.headline(summary), style="bold")
    changed = wording.settings(summary)
    if changed:
        title.append(f"\nset {changed}", style="dim not bold")
    return title


def _verdict(summary: Summary) -> list[RenderableType]:
    style = VERDICT_STYLES[Verdict(summary.verdict.slo)]
    if not summary.verdict.slo_rows:
        return [Text(wording.verdict_line(summary), style=style)]
    table = Table.grid(padding=(0, 2, 0, 0))
    for row in summary.verdict.slo_rows:
        mark = Text(PASSED, style="green") if row.passed else Text(FAILED, style="bold red")
        value = Text(wording.slo_value(row), style="" if row.passed else "bold red")
        table.add_row(mark, row.metric, row.assertion, value)
    return [table, Text(wording.verdict_line(summary), style=style)]


def _validity(summary: Summary) -> list[RenderableType]:
    style = VALIDITY_STYLES[Validity(summary.verdict.validity)]
    parts: list[RenderableType] = [Text(wording.validity_line(summary), style=style)]
    for reason in summary.verdict.reasons:
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_row(Text("!", style=style), Text(reason))
        parts.append(Padding(row, (0, 0, 0, 2)))
    return parts


def _dotted(
    rows: Sequence[Row], name_width: int, width: int, aligned: bool = False
) -> Iterator[RenderableType]:
    """k6's manner: ``name.....: label=text label=text``; ``aligned`` makes columns of equal labels."""
    columns = max((len(row.cells) for row in rows), default=0)
    widths = [
        max((len("=".join(row.cells[column])) for row in rows if column < len(row.cells)), default=0)
        for column in range(columns)
    ]
    room = width - name_width - 2
    for row in rows:
        lines = [Text()]
        for column, (label, text) in enumerate(row.cells):
            cell = Text(f"{label}=", style="dim") if label else Text(style="dim")
            cell.append(text, style="not dim")
            if lines[-1] and len(lines[-1]) + 2 + len(cell) > room:
                lines.append(Text())  # between cells, never inside one
            lines[-1].append_text(cell)
            gap = widths[column] - len(cell) if aligned else 0
            lines[-1].append(" " * (gap + 2))
        for number, line in enumerate(lines):
            line.rstrip()
            head = _name(row, name_width) if number == 0 else Text(" " * (name_width + 1))
            yield Text.assemble(head, " ", line, no_wrap=True, overflow="ignore")


def _name(row: Row, name_width: int) -> Text:
    name = Text(no_wrap=True)
    name.append(row.name, style="yellow" if row.grave else "")
    name.append("." * (name_width - len(row.name)) + ":", style="dim")
    return name


def _latencies(rows: Sequence[Row], name_width: int, width: int) -> Iterator[RenderableType]:
    """With labels in each row where they fit, else under one heading."""
    widest = [max(len(text) for _, text in row.cells) for row in rows if row.cells]
    cell_width = max(widest, default=0)
    labelled = name_width + 2 + sum(len(label) + 1 + cell_width + 2 for label in STATISTICS)
    if labelled <= width:
        yield from _dotted(rows, name_width, width, aligned=True)
        return
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for _ in STATISTICS:
        table.add_column(justify="right", min_width=6, no_wrap=True)
    table.add_row("", *(Text(label, style="dim") for label in STATISTICS))
    for row in rows:
        table.add_row(_name(row, name_width), *(text for _, text in row.cells[: len(STATISTICS)]))
    yield table


def fact_heading(column: str) -> str:
    """What heads a column of ``capacity.csv`` that is no axis; empty for an axis."""
    return FACT_HEADINGS.get(column, "")


def axis_name(axis: str, columns: Sequence[str]) -> str:
    """An axis by its last word, where no other has the same: ``haproxy.timeouts.tunnel`` -> ``tunnel``."""
    last = axis.rpartition(".")[2]
    return last if sum(column.rpartition(".")[2] == last for column in columns) == 1 else axis


def fact_text(column: str, value: str) -> str:
    """A cell of ``capacity.csv`` as people write it."""
    return format_share(float(value)) if column == "held_share" and value else value


def _fact(column: str, value: str) -> Text:
    styles: Mapping[str, str] = {"slo": VERDICT_STYLES, "validity": VALIDITY_STYLES}.get(column, {})
    return Text(fact_text(column, value), style=styles.get(value, ""))


def render(parts: Iterable[RenderableType], color: bool, width: int) -> str:
    """To one string; without ``color`` there is no escape sequence in it, and no line has trailing blanks."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in parts:
        console.print(part)
    assert isinstance(console.file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())
