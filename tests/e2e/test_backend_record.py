"""The backend's own record: complete at its stop, and never in its way."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.test_backend_ends import BACKEND, records
from tests.e2e.test_haproxy_process import HANDSHAKE
from wsload.backend.process import EmbeddedBackend
from wsload.errors import FolderError
from wsload.profile.model import Backend
from wsload.record.backend_log import BackendWire

pytestmark = pytest.mark.e2e


def test_what_is_open_when_the_backend_stops_is_recorded_by_each_process(tmp_path: Path) -> None:
    path = tmp_path / "backend.jsonl"

    async def scenario() -> None:
        backend = await EmbeddedBackend.start(Backend(processes=2), log_path=path)
        try:
            writers = []
            for address in backend.addresses * 10:
                ip, _, port = address.rpartition(":")
                reader, writer = await asyncio.open_connection(ip, int(port))
                writers.append(writer)
                writer.write(HANDSHAKE % b"/ws")
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        finally:
            await backend.stop()
        assert [report.log_lines for report in backend.last_reports] == [10, 10]
        for writer in writers:
            writer.close()

    asyncio.run(scenario())
    found = records(path)
    assert {(end.ended_by, end.wire) for end in found} == {(BACKEND, BackendWire.STOP)}
    assert sorted(end.process for end in found) == [0] * 10 + [1] * 10
    assert len({end.port for end in found}) == 20


def test_a_full_disk_ends_the_record_and_not_the_backend() -> None:
    async def scenario() -> None:
        backend = await EmbeddedBackend.start(Backend(refuse_share=1), log_path=Path("/dev/full"))
        try:
            ip, _, port = backend.addresses[0].rpartition(":")
            async with asyncio.timeout(10):
                while not (report := (await backend.reports())[0]).log_error:
                    reader, writer = await asyncio.open_connection(ip, int(port))
                    writer.write(HANDSHAKE % b"/ws")
                    assert b" 503 " in await reader.readuntil(b"\r\n\r\n")
                    writer.close()
        finally:
            await backend.stop()
        assert report.log_error == "No space left on device"
        assert 0 < report.log_lost <= report.log_lines == report.refused
        assert backend.last_reports[0].log_lost == backend.last_reports[0].log_lines

    asyncio.run(scenario())


def test_a_record_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"gone/b\.jsonl: cannot be written: .*; choose another with --out"):
        asyncio.run(EmbeddedBackend.start(Backend(), log_path=tmp_path / "gone" / "b.jsonl"))
