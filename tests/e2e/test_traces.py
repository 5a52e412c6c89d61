"""Traces as a collector receives them: one a request, whatever happens to the process meanwhile.

The collector is written from OpenTelemetry's protocol (OTLP over HTTP, protobuf) and knows nothing of
Amend. `amend run` is a process of its own, told of the collector by OpenTelemetry's own variable.
"""

from __future__ import annotations

import gzip
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bot.settings import BadSettings
from bot.tracing import export
from deploy.sandbox.ports import free_port
from deploy.sandbox.start import Sandbox
from deploy.sandbox.vendors.people import PEOPLE_CSV
from tests.e2e.conftest import APPROVALS, MARA, ONCA, OPS, until
from tests.e2e.test_crash import Process

SECRET_WORDS = "nobody-may-read-this"
STEPS = {"slack.receive", "request.plan", "request.run", "vendor.call", "slack.post"}


class Collector:
    """Keeps every span that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response()

    def of(self, request: str) -> list[Span]:
        return [each for each in self.spans if attributes(each).get("amend.request_id") == request]

    def steps(self, request: str) -> set[str]:
        return {each.name for each in self.of(request)}


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


class Office:
    """A sandbox, and a bot beside it that tells the collector."""

    def __init__(self, sandbox: Sandbox, collector: Collector, folder: Path) -> None:
        self.sandbox, self.collector, self.folder = sandbox, collector, folder
        self.port = free_port()
        environment = sandbox.environment(folder / "amend.db", port=self.port, socket_mode=False)
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        environment |= {"AMEND_LOG_FORMAT": "json", "AMEND_LOST_ANSWER_SECONDS": "1"}
        self.log = folder / "log.jsonl"
        self.process = Process({**environment, **traced}, folder, self.log)

    async def begin(self) -> None:
        (self.folder / "people.csv").write_text(PEOPLE_CSV)
        imported = await self.process.run("people", "import", "people.csv")
        assert await imported.wait() == 0
        self.sandbox.slack.request_url = f"http://127.0.0.1:{self.port}/slack/events"
        await self.process.start(self.port)

    def view(self, user: str) -> dict[str, Any]:
        views = self.sandbox.slack.state(user)["views"]
        return dict(views[-1]) if views else {}

    async def ask(self, typed: str) -> None:
        await self.sandbox.slack.act(user=MARA, do="type", channel=OPS, text=typed)

    async def submit(self) -> None:
        await until(lambda: self.view(MARA).get("callback_id") == "review", "the review")
        view = self.view(MARA)["id"]
        await self.sandbox.slack.act(user=MARA, do="submit", view_id=view, values={})

    def card(self, channel: str = OPS) -> dict[str, Any]:
        """The newest card of a channel; its message's ts is under `ts`."""
        for each in reversed(self.sandbox.slack.messages(channel)):
            metadata = each.get("metadata") or {}
            if metadata.get("event_type") == "amend_request":
                return dict(metadata["event_payload"]) | {"ts": each["ts"]}
        return {}

    async def state_is(self, *states: str) -> str:
        await until(lambda: self.card().get("state") in states, f"one of {states}")
        return str(self.card()["request_id"])


@asynccontextmanager
async def office_in(folder: Path) -> AsyncIterator[Office]:
    collector, sandbox = Collector(), Sandbox()
    await collector.start()
    await sandbox.start()
    office = Office(sandbox, collector, folder)
    await office.begin()
    try:
        yield office
    finally:
        await office.process.end(signal.SIGTERM)
        await sandbox.stop()
        await collector.stop()


async def test_a_typed_edit_is_one_trace_from_command_to_receipt(tmp_path: Path) -> None:
    async with office_in(tmp_path) as office:
        await office.ask(f"/qualys 23456 add_comment={SECRET_WORDS}")
        request = await office.state_is("succeeded")
        collector = office.collector
        await until(lambda: collector.steps(request) >= STEPS, "all its steps")
        spans = collector.of(request)
        assert len({each.trace_id for each in spans}) == 1
        (root,) = [each for each in spans if not each.parent_span_id]
        assert root.name == "slack.receive"
        known = {each.span_id for each in spans}
        assert all(each.parent_span_id in known for each in spans if each is not root)
        for each in spans:
            about = attributes(each)
            assert about["amend.operation"] == "qualys.edit_tickets"
            assert about["amend.vendor"] == "qualys"
            assert each.end_time_unix_nano >= each.start_time_unix_nano
            assert not each.events
        calls = [each for each in spans if each.name == "vendor.call"]
        assert all(each.kind == Span.SPAN_KIND_CLIENT for each in calls)
        names = {"http.request.method", "server.address", "server.port", "url.scheme"}
        assert all(names <= attributes(each).keys() for each in calls)
        assert all(attributes(each)["http.response.status_code"] == 200 for each in calls)
        for hidden in (SECRET_WORDS, "23456", "Mara", MARA, "not-a-secret"):
            assert hidden.encode() not in collector.raw, hidden


async def test_approval_restart_and_a_later_click_stay_in_the_trace(tmp_path: Path) -> None:
    async with office_in(tmp_path) as office:
        numbers = ",".join(str(each) for each in list(office.sandbox.qualys.tickets)[:60])
        await office.ask(f"/qualys {numbers} change_state=IGNORED add_comment=later")
        await office.submit()
        request = await office.state_is("pending_approval")
        collector = office.collector
        # What a killed process has not told yet is told by nobody.
        until_now = {"slack.receive", "request.plan", "slack.post"}
        await until(lambda: collector.steps(request) >= until_now, "the steps before the kill")
        await office.process.end(signal.SIGKILL)
        await office.process.start(office.port)
        await press(office, ONCA, "approve")
        await office.state_is("succeeded", "partial")
        steps = {*STEPS, "request.approve"}
        await until(lambda: collector.steps(request) >= steps, "all its steps")
        before = len([each for each in collector.of(request) if each.name == "slack.receive"])
        await press(office, MARA, "details")

        def clicks() -> int:
            return len([each for each in collector.of(request) if each.name == "slack.receive"])

        await until(lambda: clicks() > before, "the click on Details")
        assert len({each.trace_id for each in collector.of(request)}) == 1


def offered(office: Office, action: str) -> dict[str, Any]:
    """A button with this action and where it stands, as an act of the sandbox; {} where none does."""
    for channel in (OPS, APPROVALS):
        for message in office.sandbox.slack.messages(channel):
            for block in message.get("blocks") or []:
                for element in block.get("elements") or []:
                    if element.get("action_id") == action:
                        where = {"channel": channel, "ts": message["ts"]}
                        return where | {"action_id": action, "block_id": block["block_id"]}
    return {}


async def press(office: Office, user: str, action: str) -> None:
    await until(lambda: bool(offered(office, action)), f"a button {action}")
    answer = await office.sandbox.slack.act(user=user, do="press", **offered(office, action))
    assert answer["ok"], answer


async def test_a_failed_call_is_an_error_without_its_words_and_its_lines_lead_to_the_trace(
    tmp_path: Path,
) -> None:
    async with office_in(tmp_path) as office:
        office.sandbox.qualys.set_fault("reset_after_edit", {"times": 1, "only": "ticket_edit"})
        await office.ask(f"/qualys 23456 add_comment={SECRET_WORDS}")
        request = await office.state_is("succeeded", "unknown", "failed")
        collector = office.collector

        def failed() -> list[Span]:
            return [
                each
                for each in collector.of(request)
                if each.name == "vendor.call" and each.status.code == Status.STATUS_CODE_ERROR
            ]

        await until(lambda: bool(failed()), "the call that failed")
        assert attributes(failed()[0])["error.type"] == "no_answer"
        assert not failed()[0].status.message
        lines = [json.loads(each) for each in office.log.read_text().splitlines()]
        about = [each for each in lines if each.get("request_id") == request]
        assert about, lines
        assert {each["trace_id"] for each in about} == {failed()[0].trace_id.hex()}


def test_without_a_collector_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert export() is None


def test_a_collector_without_the_packages_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(__import__("sys").modules, "bot.exporting", None)
    with pytest.raises(BadSettings, match=r"amend\[otel\]"):
        export()
