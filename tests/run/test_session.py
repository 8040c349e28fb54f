from typing import Any

import msgspec
import pytest

from wsload.errors import ExitCode
from wsload.record.outcome import Validity, Verdict
from wsload.record.summary import Summary, TunnelsPart, VerdictPart
from wsload.run.session import exit_code_of


def summary(slo: Verdict, validity: Validity) -> Summary:
    empty: dict[str, Any] = {}
    return Summary(
        schema="",
        title="",
        started="",
        duration_s=1.0,
        partial=False,
        verdict=VerdictPart(slo=slo, validity=validity, reasons=[], slo_rows=[]),
        tunnels=msgspec.convert(
            {name: 0 for name in TunnelsPart.__struct_fields__ if not name.endswith("cohort")}
            | {"held_by_cohort": {}, "planned_by_cohort": {}},
            TunnelsPart,
        ),
        metrics={},
        counters={},
        disconnects={},
        handshake_failures={},
        haproxy=empty,
        driver=empty,
        backend=empty,
    )


@pytest.mark.parametrize(
    ("slo", "validity", "interrupted", "code"),
    [
        (Verdict.PASSED, Validity.VALID, False, ExitCode.PASSED),
        (Verdict.NONE, Validity.VALID, False, ExitCode.PASSED),
        (Verdict.PASSED, Validity.SUSPECT, False, ExitCode.PASSED),
        (Verdict.FAILED, Validity.SUSPECT, False, ExitCode.SLO_FAILED),
        (Verdict.PASSED, Validity.INVALID, False, ExitCode.INVALID_RESULT),
        (Verdict.FAILED, Validity.INVALID, False, ExitCode.INVALID_RESULT),
        (Verdict.FAILED, Validity.INVALID, True, ExitCode.INTERRUPTED),
    ],
)
def test_an_interruption_outranks_an_invalid_result_and_that_a_failed_slo(
    slo: Verdict, validity: Validity, interrupted: bool, code: ExitCode
) -> None:
    assert exit_code_of(summary(slo, validity), interrupted=interrupted) is code
