"""A diagnosis as text for a terminal: the answer, what to change, who saw what, how whole the evidence is."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wsload.analysis.advice import CAUSE_WORDS
from wsload.analysis.completeness import Weight
from wsload.analysis.diagnosis import Cell, Diagnosis, confidence_words
from wsload.record.outcome import Cause, Confidence
from wsload.report.text import PASSED, render
from wsload.units import NS_PER_MS, format_count, format_duration

MOST_ROWS = 40
"""Rows of the matrix; what is rarer is counted under it."""
_CONFIDENCE_STYLES = {Confidence.CERTAIN: "", Confidence.LIKELY: "", Confidence.GUESS: "yellow"}
_MARKS = {Weight.GOOD: (PASSED, "green"), Weight.PLAIN: ("·", "dim"), Weight.DOUBT: ("!", "yellow")}
_INDENT = (0, 0, 0, 2)
_THROUGH = {"direct": "without HAProxy", "url": "to a URL"}


def diagnosis_text(diagnosis: Diagnosis, color: bool = False, width: int = 100) -> str:
    """All of it. ``width`` in columns, good from 80."""
    parts: list[RenderableType] = [_headline(diagnosis), ""]
    parts += _answer(diagnosis)
    if diagnosis.changes:
        parts += ["", _heading("what to change"), *_changes(diagnosis)]
    if diagnosis.matrix:
        parts += ["", _heading("who saw what"), *_matrix(diagnosis.matrix)]
    parts += ["", _heading("how whole the evidence is"), *_evidence(diagnosis)]
    return render(parts, color, width)


def _heading(text: str) -> Text:
    return Text(text, style="dim")


def _headline(diagnosis: Diagnosis) -> Text:
    through = _THROUGH.get(diagnosis.via, f"through HAProxy {diagnosis.haproxy_version}".rstrip())
    timers = ", ".join(
        f"{name} {format_duration(ms * NS_PER_MS)}"
        for name, ms in diagnosis.timers_ms.items()
        if ms and name in ("tunnel", "client", "server")
    )
    parts = [diagnosis.title, through, f"timeout {timers}" if timers else ""]
    return Text(" · ".join(filter(None, parts)), style="bold")


def _answer(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    for sentence in diagnosis.findings:
        yield _item("•", "bold", Text(sentence, style="bold"))
    for sentence in diagnosis.answer:
        yield Text(sentence, style="" if diagnosis.findings else "bold")


def _changes(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    for change in diagnosis.changes:
        head = Text(CAUSE_WORDS[change.cause], style="bold")
        head.append(f" x {format_count(change.count)}", style="not bold dim")
        yield Padding(head, _INDENT)
        yield Padding(Text(f"{change.change}."), (0, 0, 0, 4))


def _matrix(cells: Sequence[Cell]) -> Iterator[RenderableType]:
    logged = any(cell.termination for cell in cells)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("cohort", overflow="fold")
    table.add_column("the client saw", overflow="fold")
    if logged:
        table.add_column("HAProxy", no_wrap=True)
    table.add_column("cause", overflow="fold")
    table.add_column("tunnels", justify="right", no_wrap=True)
    table.add_column("confidence", overflow="fold")
    cohort = ""
    for cell in cells[:MOST_ROWS]:
        table.add_row(
            cell.cohort if cell.cohort != cohort else "",
            cell.client_saw,
            *([cell.termination or Text("no line", style="dim")] if logged else []),
            Text(CAUSE_WORDS[cell.cause], style="green" if cell.cause is Cause.PLANNED else ""),
            format_count(cell.count),
            Text(confidence_words(cell.confidence), style=_confidence_style(cell)),
        )
        cohort = cell.cohort
    yield Padding(table, _INDENT)
    rest = cells[MOST_ROWS:]
    if rest:
        tunnels = format_count(sum(cell.count for cell in rest))
        yield Padding(Text(f"and {len(rest)} rarer kinds, {tunnels} tunnels: --json has them all"), _INDENT)


def _confidence_style(cell: Cell) -> str:
    return max((_CONFIDENCE_STYLES[name] for name in cell.confidence), default="")


def _evidence(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    for note in diagnosis.notes:
        yield Padding(_item(*_MARKS[note.weight], Text(note.text)), _INDENT)
    for number, line in diagnosis.unread_examples:
        yield Padding(_item(f"line {number}:", "dim", Text(line, style="dim", overflow="fold")), (0, 0, 0, 4))


def _item(mark: str, style: str, text: Text) -> Table:
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(no_wrap=True)
    row.add_column()
    row.add_row(Text(mark, style=style), text)
    return row
