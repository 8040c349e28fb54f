"""Make and print every view of a folder: plots, page, text. The folder alone is enough for all of them."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsload.children import die_with_parent
from wsload.errors import FolderError, InterruptedRunError
from wsload.record import layout

if TYPE_CHECKING:
    from wsload.analysis.recommend import Recommendation
    from wsload.record.summary import Summary

_NARROWEST, _WIDEST = 80, 120


def say(text: str, *, colour: bool | None = None) -> None:
    """Print on stdout. A reader that has seen enough (``| head``) is no error."""
    try:
        click.echo(text, color=colour)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is buffered is tried again at exit: it must go somewhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _until_interrupted(folder: Path) -> Iterator[None]:
    """Says, when a signal ends the making of plots, how to make them later."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted while plots were drawn; the results are saved, go on with: wsload report {folder}"
        ) from None


def show_run(folder: Path, summary: "Summary", *, as_json: bool, quiet: bool, plots: bool) -> None:
    """A run's text or JSON, then its plots and page: who reads need not wait for the drawing."""
    if as_json:
        print_json(summary)
    elif not quiet:
        print_summary(summary, folder)
    if plots:
        with _until_interrupted(folder):
            write_views(folder, summary)


def show_campaign(folder: Path, *, as_json: bool, quiet: bool, plots: bool) -> None:
    """The same of a campaign."""
    from wsload.analysis.campaign import cell_results

    store_recommendation(folder)
    if as_json:
        print_campaign_json(folder)
    elif not quiet:
        print_campaign(folder)
    if plots and cell_results(folder):  # a control alone makes no picture
        with _until_interrupted(folder):
            write_campaign_views(folder)
        if not (as_json or quiet):
            say(f"picture: {folder / layout.PLOTS / 'capacity.png'}")


def write_views(folder: Path, summary: "Summary") -> None:
    """A run's plots and page. Raises FolderError if they cannot be written."""
    from wsload.analysis.diagnosis import diagnose
    from wsload.analysis.folder import RunFolder
    from wsload.report.diagnosis_plots import write_diagnosis_plots
    from wsload.report.html import write_html
    from wsload.report.ledger_plots import write_ledger_plots
    from wsload.report.plots import write_plots
    from wsload.report.survival_plots import write_survival_plots

    run_folder = RunFolder(folder)
    try:
        write_plots(run_folder)
        write_survival_plots(run_folder)
        write_ledger_plots(run_folder)
        write_diagnosis_plots(run_folder, diagnose(run_folder))
        write_html(run_folder, summary)
    except OSError as error:
        raise _no_room(folder, error) from error


def write_campaign_views(folder: Path) -> None:
    """A campaign's plots and page, and those of its runs. Raises FolderError if they cannot be written."""
    from wsload.analysis.campaign import read_campaign
    from wsload.analysis.control import control_arms
    from wsload.analysis.keepalive import keepalive_points
    from wsload.analysis.measured import read_searches
    from wsload.analysis.recommend import recommend
    from wsload.report.campaign_plots import campaign_caption, write_campaign_plots
    from wsload.report.html import write_campaign_html
    from wsload.report.keepalive_plot import write_keepalive_plot

    info, results = read_campaign(folder)
    searches = read_searches(folder, results)
    advice = recommend(searches, info)
    try:
        runs = [*(cell.run for cell in results), *(arm.control.run for arm in control_arms(folder))]
        fresh = [folder / run for run in runs if not (folder / run / layout.REPORT).exists()]
        # Drawing is the longest part of a short campaign's end, and each run's is independent.
        pool = ProcessPoolExecutor(
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_drawing,
            initargs=(os.getpid(),),
        )
        try:
            list(pool.map(_write_stored_views, fresh))
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()  # or it would draw to its picture's end first
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        write_campaign_plots(results, info, folder / layout.PLOTS, searches, advice)
        if points := keepalive_points(folder, results):
            write_keepalive_plot(points, campaign_caption(results, info), folder / layout.PLOTS)
        write_campaign_html(folder, info.title, advice)
    except OSError as error:
        raise _no_room(folder, error) from error


def _begin_drawing(parent_pid: int) -> None:
    """In a drawing process: it ends with its parent, and a terminal's Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent_pid)


def _write_stored_views(folder: Path) -> None:
    from wsload.analysis.folder import RunFolder

    summary = RunFolder(folder).summary()
    if summary is not None:
        write_views(folder, summary)


def print_summary(summary: "Summary", folder: Path) -> None:
    """The text at a run's end, on stdout."""
    from wsload.report.text import final_text

    colour = sys.stdout.isatty()
    say(final_text(summary, folder, color=colour, width=text_width()), colour=colour)


def print_json(summary: "Summary") -> None:
    """``summary.json``'s text on stdout."""
    from wsload.analysis.summary import encode_summary

    say(encode_summary(summary).decode("utf-8").rstrip("\n"))


def print_campaign(folder: Path) -> None:
    """The table at a campaign's end and what it recommends, on stdout."""
    from wsload.analysis.capacity_file import read_capacity
    from wsload.report.text import campaign_table, recommendation_text

    colour, width = sys.stdout.isatty(), text_width()
    table = campaign_table(read_capacity(folder), color=colour, width=width)
    findings = "".join(f"\n→ {sentence}\n" for sentence in _campaign_findings(folder))
    advice = _recommendation(folder)
    words = recommendation_text(advice, color=colour, width=width) if advice is not None else ""
    say(f"{table}{findings}{words}\nresults in {folder}", colour=colour)


def _campaign_findings(folder: Path) -> list[str]:
    """What a campaign's cells say together, a sentence each."""
    from wsload.analysis.campaign import cell_results
    from wsload.analysis.control import control_arms
    from wsload.analysis.keepalive import keepalive_points
    from wsload.report.control_wording import control_sentences
    from wsload.report.keepalive_wording import keepalive_sentences

    points = keepalive_points(folder, cell_results(folder))
    return [*keepalive_sentences(points), *control_sentences(control_arms(folder))]


def store_recommendation(folder: Path) -> None:
    """``recommendation.json``, where the campaign leads to one."""
    from wsload.run.folder import FolderWriter

    advice = _recommendation(folder)
    if advice is not None:
        FolderWriter(folder).write_json(layout.RECOMMENDATION, advice)


def _recommendation(folder: Path) -> "Recommendation | None":
    from wsload.analysis.campaign import cell_results, read_campaign
    from wsload.analysis.measured import read_searches
    from wsload.analysis.recommend import recommend

    if not any(cell.capacity is not None for cell in cell_results(folder)):
        return None
    info, results = read_campaign(folder)
    return recommend(read_searches(folder, results), info)


def print_campaign_json(folder: Path) -> None:
    """The rows of ``capacity.csv`` as JSON on stdout."""
    import msgspec

    from wsload.analysis.capacity_file import read_capacity

    say(msgspec.json.encode(read_capacity(folder)).decode("utf-8"))


def text_width() -> int:
    """Columns for text on stdout: the terminal's, within reason."""
    return max(_NARROWEST, min(shutil.get_terminal_size((100, 24)).columns, _WIDEST))


def _no_room(folder: Path, error: OSError) -> FolderError:
    return FolderError(
        f"{folder}: plots cannot be written: {error.strerror}; make room and type: wsload report {folder}"
    )
