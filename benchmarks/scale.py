"""How wsload grows with the number of tunnels: opening rate, memory by owner, CPU, lag, disconnects.

Each N is one ``wsload run`` of that many tunnels through as many managed HAProxy processes as this
machine's descriptor limit asks for: 60 % idle, 30 % pinged every 30 s, 10 % chatty with 2,000 echoes/s
together. CPU and memory of its processes, and the kernel's memory, are read from outside of it. Prints
JSON on stdout and a table on stderr, and writes both with a plot into ``--out``. A number of tunnels that
the machine refuses ends the series, with the message it was refused with; the exit code is 1 where a bar
is missed.

    python benchmarks/scale.py [--hold 5m] [--add] 1k 10k 100k
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of a script Python puts its own folder there

from benchmarks.scale_figures import Row, growth, profile_text, row_of, table
from benchmarks.scale_plot import write_scale_plot
from benchmarks.scale_samples import watch
from wsload.analysis.folder import RunFolder
from wsload.errors import ExitCode
from wsload.haproxy.process import find_binary, version
from wsload.plan.preflight import read_machine
from wsload.record.layout import SUMMARY
from wsload.units import (
    NS_PER_S,
    UnitError,
    format_count,
    format_duration,
    format_many,
    format_size,
    parse_count,
    parse_duration_ns,
    parse_rate_per_s,
)

RESULT = "scale.json"
T = TypeVar("T")


def measure(tunnels: int, hold_ns: int, slack_ns: int, rate_per_s: float) -> Row:
    """One run, watched from outside."""
    with tempfile.TemporaryDirectory() as scratch:
        profile, out = Path(scratch) / "scale.toml", Path(scratch) / "run"
        profile.write_text(
            profile_text(tunnels, hold_ns, slack_ns, rate_per_s, read_machine().nofile_hard), encoding="utf-8"
        )
        command = [sys.executable, "-m", "wsload", "run", str(profile), "--out", str(out)]
        samples, exit_code, words = watch([*command, "--quiet", "--no-plots"])
        if not (out / SUMMARY).is_file():
            return Row(tunnels=tunnels, exit_code=exit_code, limits=[words or "ended without a word"])
        folder = RunFolder(out)
        summary = folder.summary()
        assert summary is not None
        return row_of(folder.info, summary, samples, slack_ns, exit_code, words)


def setting_of(rows: Sequence[Row]) -> list[str]:
    """What the figures hold for, in words."""
    machine = read_machine()
    cores, memory = format_many(machine.cores, "core"), format_size(psutil.virtual_memory().total)
    here = f"{cores}, {memory}, nofile {format_count(machine.nofile_hard)}, Linux {platform.release()}"
    holds_ns = sorted({round(row.held_s * NS_PER_S) for row in rows if row.processes})
    held = f"held {' or '.join(map(format_duration, holds_ns))}"
    return [held, f"HAProxy {version(find_binary('haproxy'))}", here]


def report(rows: Sequence[Row], setting: Sequence[str]) -> dict[str, Any]:
    """What is printed as JSON. ``growth_exponents``: 1 is in proportion to N, 0 not at all."""
    return {
        "ok": not any(row.limits for row in rows),
        "setting": setting,
        "rows": msgspec.to_builtins(rows),
        "growth_exponents": growth(rows),
    }


def rows_of(result: Path) -> list[Row]:
    """The runs of a result that :func:`report` made; none where there is no such file."""
    if not result.exists():
        return []
    return msgspec.convert(json.loads(result.read_text(encoding="utf-8"))["rows"], list[Row])


def joined(before: Sequence[Row], now: Sequence[Row]) -> list[Row]:
    """All runs by number of tunnels; of two with the same number the later one."""
    return sorted({row.tunnels: row for row in (*before, *now)}.values(), key=lambda row: row.tunnels)


def _typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of ours as argparse wants it."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except UnitError as error:
            raise argparse.ArgumentTypeError(f"{error.problem}; {error.fix}") from None

    return read


def main() -> None:
    """Measure each number of tunnels in turn, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tunnels", nargs="+", metavar="N", type=_typed(parse_count), help="such as 10k")
    parser.add_argument("--hold", type=_typed(parse_duration_ns), default="60s", help="default 60s")
    parser.add_argument(
        "--slack",
        type=_typed(parse_duration_ns),
        default="200us",
        help="how long a due message may wait for others to leave with it; default 200us",
    )
    parser.add_argument("--rate", type=_typed(parse_rate_per_s), default="3500/s", help="of opening; 3500/s")
    parser.add_argument("--out", type=Path, default=Path("results/scale"), help="default results/scale")
    parser.add_argument("--add", action="store_true", help="keep the runs that --out has of other numbers")
    options = parser.parse_args()
    kept = options.out / RESULT
    if kept.exists() and not options.add:
        parser.error(f"{kept} is there already; add to it with --add, or name another folder with --out")
    rows: list[Row] = []
    interrupted = False
    for tunnels in sorted(options.tunnels):
        print(f"{format_count(tunnels)} tunnels ...", file=sys.stderr)
        try:
            row = measure(tunnels, options.hold, options.slack, options.rate)
        except KeyboardInterrupt:  # the run had it too, and has ended in good order
            interrupted = True
            break
        if interrupted := row.exit_code == ExitCode.INTERRUPTED:
            break
        rows.append(row)
        if row.exit_code == ExitCode.INVALID_CONFIG:  # more tunnels would be refused as well
            break
    if not rows:
        sys.exit(ExitCode.INTERRUPTED)
    if options.add:
        rows = joined(rows_of(kept), rows)
    setting = setting_of(rows)
    text, result = table(rows), json.dumps(report(rows, setting), indent=2)
    print(text, file=sys.stderr)
    print(result)
    options.out.mkdir(parents=True, exist_ok=True)
    kept.write_text(result + "\n", encoding="utf-8")
    (options.out / "scale.txt").write_text(text + "\n", encoding="utf-8")
    write_scale_plot(rows, setting, options.out)
    sys.exit(ExitCode.INTERRUPTED if interrupted else int(any(row.limits for row in rows)))


if __name__ == "__main__":
    main()
