"""All verdicts of a run: each end with its joined evidence, fixed intervals found, completeness counted.

Pure over a folder: rows come out, the caller writes them. The first verdicts that stand in the folder are
those of the client alone, made while the run lasted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wsload.analysis import clusters, handshakes
from wsload.analysis.attribution import attribute
from wsload.analysis.evidence import ECONNRESET_ERR, BackendEnd, Evidence, HaproxyEnd
from wsload.analysis.folder import DisconnectRow, FailureRow, LedgerRow, RunFolder
from wsload.analysis.intervals import Intervals, is_unexplained
from wsload.analysis.join import Joiner, index_backend, index_log, read_backend_log
from wsload.analysis.ledger import Occupancy, ledger
from wsload.analysis.log_formats import LogFile, LogRecord, read_log
from wsload.analysis.sources import LogFit, fit_of, fits
from wsload.record import layout
from wsload.record.backend_log import BackendEnd as BackendLine
from wsload.record.backend_log import EndedBy
from wsload.record.outcome import NOT_CUTS, Cause, Confidence, PlanAct, Wire
from wsload.record.snapshot import Disconnect
from wsload.record.summary import Attribution, Completeness
from wsload.units import NS_PER_S

_PROCESS_END_S = 1.0
"""How near a tunnel's end lies to the end of HAProxy's process for the one to explain the other."""
_MAX_HANDSHAKE_S = 3600.0
_SECONDS = ("t_s", "age_s", "idle_rx_s", "idle_tx_s", "waited_s")
"""Columns, of either table."""
_CLOCKS_AGREE_S = 0.02
"""HAProxy's milliseconds, our anchor between wall clock and monotonic clock, and a busy moment."""


class RunVerdicts:
    """Go through :meth:`disconnects`, then :meth:`failures`; then all others are complete."""

    def __init__(
        self,
        folder: RunFolder,
        external_log: Path | None = None,
        timers_ms: Mapping[str, int] | None = None,
        log_ahead_s: float = 0.0,
    ) -> None:
        """Reads the log and the backend's records.

        Args:
            folder: The run.
            external_log: Of a HAProxy that wsload did not start; takes the place of the folder's own.
            timers_ms: Timers in force that the run did not know, or not right.
            log_ahead_s: By how much the clock that dated the log is ahead of the run's.
        """
        self._folder, info = folder, folder.info
        given = dict(timers_ms or {})
        self._timers_ms = {cohort: info.timers_of_ms(cohort) | given for cohort in info.cohorts}
        self._log_file: LogFile | None = None
        log_path = external_log or folder.path / layout.HAPROXY_LOG
        if external_log is not None or log_path.is_file():
            self._log_file = read_log(log_path)
        index = index_log(self._log_file.records()) if self._log_file is not None else None
        backend = index_backend(read_backend_log(folder.path / layout.BACKEND_LOG))
        monotonic_s = info.start_monotonic_ns / NS_PER_S
        self._started_unix_s = info.started_unix_s + log_ahead_s
        """The run's time 0 by the clock of the log."""
        self._joiner = Joiner(index, backend, self._started_unix_s, monotonic_s)
        self._log_lines = index.size if index is not None else 0
        self._backend_records = backend.size
        self._occupancy = Occupancy(self._started_unix_s, self._timers_ms)
        self._ended = 0
        self._actions = folder.actions()
        self._haproxy_ends_s = [
            a.t_s for a in self._actions if a.action in ("haproxy_exited", "haproxy_stopped")
        ]
        self._intervals = Intervals(self._timers_ms)
        self._handshake_causes: Counter[str] = Counter()

    def disconnects(self) -> Iterator[dict[str, Any]]:
        """Each row of ``disconnects.csv`` with its final cause, confidence and evidence."""
        for row in self._folder.iter_disconnects():
            evidence = self._evidence(row)
            cause, confidence, words = attribute(evidence)
            if cause not in NOT_CUTS:
                idle_s, unexplained = evidence.idle_ns / NS_PER_S, is_unexplained(cause, confidence)
                self._intervals.add(row.cohort, unexplained, idle_s, row.age_s or 0.0, row.t_s)
            written = _as_written(row)
            written["cause"], written["confidence"], written["evidence"] = cause, confidence, words
            written["termination"] = evidence.log.termination if evidence.log is not None else ""
            yield written

    def failures(self) -> Iterator[dict[str, Any]]:
        """Each row of ``handshake-failures.csv`` with its cause."""
        full = handshakes.full_times(self._folder)
        no_port = self._log_file is not None and self._log_file.no_port_announced
        for row in self._folder.iter_failures():
            record, _ = self._joiner.find(row.local_ip, row.local_port or 0, row.t_s - row.waited_s, row.t_s)
            cause, confidence, words = handshakes.attribute_failure(
                row, record, full, self._started_unix_s, no_port
            )
            self._occupancy.add_failure(row, record)
            self._ended += record is not None
            self._handshake_causes[cause] += 1
            yield _as_written(row) | {"cause": cause, "confidence": confidence, "evidence": words}

    def unexplained_clusters(self) -> Mapping[str, Sequence[clusters.Cluster]]:
        """Cohort -> fixed idle times among ends that nothing explained: the mark of a box on the way."""
        return self._intervals.on_the_path()

    def attribution(self) -> Attribution:
        """What it all came to."""
        return Attribution(
            completeness=self._completeness(),
            findings=list(self._intervals.findings()),
            handshake_causes=dict(sorted(self._handshake_causes.items())),
        )

    def ledger(self) -> Iterator[LedgerRow]:
        """Rows of ``slot-ledger.csv``; none where no HAProxy was sampled."""
        folder, counts = self._folder, self._completeness()
        return ledger(
            folder.haproxy_stats(),
            folder.intervals(),
            self._occupancy,
            folder.info,
            folder.hold_end_s(),
            log_is_whole=self._log_file is not None and not counts.dropped and not counts.unread,
        )

    def log_fit(self) -> LogFit | None:
        """How the log fitted the run, complete with :meth:`attribution`; None without a log."""
        if self._log_file is None or self._joiner.log is None:
            return None
        rows = iter(()) if fits(self._completeness()) else self._folder.iter_disconnects()
        return fit_of(self._log_file, self._joiner.log, rows, self._folder.info.started_unix_s)

    def _evidence(self, row: DisconnectRow) -> Evidence:
        opened_s = row.t_s - (row.age_s or 0.0)
        # How long its handshake took is not on record, so any accept between the start and the 101 will do:
        # the latest of its address is the one.
        began_s = max(opened_s - _MAX_HANDSHAKE_S, -1.0)
        record, line = self._joiner.find(row.local_ip, row.local_port or 0, began_s, opened_s)
        self._occupancy.add_end(row, record)
        self._ended += bool(row.local_port)
        plan = self._plan_before_the_end(row, record, line) if row.plan is PlanAct.CLOSE else row.plan
        return Evidence(
            disconnect=_disconnect(row, plan),
            timers_ms=self._timers_ms[row.cohort],
            log=_haproxy_end(record) if record is not None else None,
            backend=_backend_end(line) if line is not None else None,
            log_is_lost=self._log_file is not None and record is None and row.wire is not Wire.UNSEEN,
            haproxy_ended=any(abs(row.t_s - end_s) <= _PROCESS_END_S for end_s in self._haproxy_ends_s),
        )

    def _plan_before_the_end(
        self, row: DisconnectRow, record: LogRecord | None, line: BackendLine | None
    ) -> PlanAct:
        """What the plan had done when a tunnel that it closed ended: its close may have come too late."""
        closed_s = row.t_s - (row.idle_tx_s or 0.0)
        if record is not None:
            ended_s = record.end_unix_s - self._started_unix_s
            # Only a client that was not reading can have missed that.
            if ended_s < closed_s - _CLOCKS_AGREE_S:
                return PlanAct.STALL
        if line is not None and line.ended_by is EndedBy.BACKEND:
            ended_s = (line.ended_ns - self._folder.info.start_monotonic_ns) / NS_PER_S
            if ended_s < closed_s:  # they crossed
                return PlanAct.NOTHING
        return PlanAct.CLOSE

    def _completeness(self) -> Completeness:
        stats = self._folder.haproxy_stats()
        dropped = sum({row["process"]: row["dropped_logs"] for row in stats}.values())
        lost = sum(int(a.detail.get("lost", 0)) for a in self._actions if a.action == "haproxy_log")
        has_log = self._log_file is not None
        return Completeness(
            ended=self._ended,
            log_lines=self._log_lines,
            matched=self._joiner.matched,
            without_line=self._ended - self._joiner.matched if has_log else 0,
            without_end=self._joiner.log.left if self._joiner.log is not None else 0,
            dropped=dropped + lost,
            unread=self._log_file.unread if self._log_file is not None else 0,
            backend_records=self._backend_records,
            backend_matched=self._joiner.backend_matched,
        )


def on_the_path(row: DisconnectRow, found: Mapping[str, Sequence[clusters.Cluster]]) -> dict[str, Any]:
    """The row as written, its cause put right if it lies in an unexplained cluster of its cohort."""
    written = _as_written(row)
    if not is_unexplained(row.cause, row.confidence) or row.idle_rx_s is None or row.idle_tx_s is None:
        return written
    idle_s = min(row.idle_rx_s, row.idle_tx_s)
    for cluster in found.get(row.cohort, ()):
        if cluster.low_s <= idle_s <= cluster.high_s:
            words = clusters.sentence(row.cohort, cluster, clusters.explain(cluster, {}, "idle"))
            return written | {
                "cause": Cause.PATH_IDLE_TIMEOUT,
                "confidence": Confidence.LIKELY,
                "evidence": f"{row.evidence}; one of a cluster: {words}",
            }
    return written


def _as_written(row: DisconnectRow | FailureRow) -> dict[str, Any]:
    """A row as its file has it, seconds to the microsecond; what is None is written as nothing."""
    cells = msgspec.structs.asdict(row)
    for name in _SECONDS:
        value = cells.get(name)
        if value is not None:
            cells[name] = f"{value:.6f}"
    return cells


def _disconnect(row: DisconnectRow, plan: PlanAct) -> Disconnect:
    return Disconnect(
        t_ns=_ns(row.t_s),
        tunnel=row.tunnel or 0,
        cohort=row.cohort,
        local_ip=row.local_ip,
        local_port=row.local_port or 0,
        remote=row.remote,
        phase=row.phase,
        age_ns=_ns(row.age_s),
        idle_rx_ns=_ns(row.idle_rx_s),
        idle_tx_ns=_ns(row.idle_tx_s),
        wire=row.wire,
        close_code=row.close_code,
        close_reason=row.close_reason,
        plan=plan,
    )


def _ns(seconds: float | None) -> int:
    return round((seconds or 0.0) * NS_PER_S)


def _haproxy_end(record: LogRecord) -> HaproxyEnd:
    return HaproxyEnd(
        termination=record.termination,
        status=record.status,
        total_ms=record.total_ms,
        client_reset=record.fc_err == ECONNRESET_ERR,
        server_reset=record.bc_err == ECONNRESET_ERR,
        events=_session_events(record.term_events or ""),
    )


def _session_events(term_events: str) -> str:
    """The fourth field: ``{-,-,-,s7S7,-,-,-}`` -> ``s7S7``."""
    fields = term_events.strip("{}").split(",")
    return fields[3].strip(" -") if len(fields) > 3 else ""


def _backend_end(line: BackendLine) -> BackendEnd:
    return BackendEnd(line.ended_by is EndedBy.BACKEND, line.wire, min(line.idle_rx_ns, line.idle_tx_ns))
