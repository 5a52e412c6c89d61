"""Delivers to the bot over its socket or, signed, over HTTP, and times the acknowledgement."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout
from slack_sdk.signature import SignatureVerifier

from deploy.sandbox import company
from deploy.sandbox.slack.sockets import Sockets
from deploy.sandbox.slack.traffic import Traffic
from deploy.sandbox.slack.workspace import Json

ACK_SECONDS = 3.0
EVENTS = "events_api"
COMMANDS = "slash_commands"
INTERACTIVE = "interactive"
# Slack's words for why an event comes again; any other error is an HTTP status.
_REASONS = {"operation_timeout": "http_timeout", "dispatch_failed": "connection_failed"}
# What a socket's envelope of each kind says about answers in the ack.
_ANSWERABLE = {EVENTS: False, COMMANDS: True, INTERACTIVE: True}


@dataclass(frozen=True)
class Ack:
    """How the bot answered; status 0 when it did not, in time or at all."""

    status: int
    body: Any
    ms: int
    error: str = ""
    no_retry: bool = False

    @property
    def ok(self) -> bool:
        """Whether Slack would take it for received."""
        return 200 <= self.status < 300

    def page(self) -> Json:
        """For the one who acted."""
        return {"status": self.status, "body": self.body, "ms": self.ms}


@dataclass(frozen=True)
class Parcel:
    """Something sent once, kept so that it can be sent again unchanged."""

    what: str
    envelope: Json | None = None
    url: str = ""
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    shown: Any = None


class Delivery:
    """The way to the bot."""

    def __init__(self, traffic: Traffic, clock: Callable[[], float]) -> None:
        self.request_url: str | None = None
        self.ack_seconds = ACK_SECONDS
        # Slack waits a moment, a minute and five minutes; nobody at a sandbox wants to.
        self.retry_seconds = (0.05, 1.0, 3.0)
        self.sockets = Sockets()
        self._signer = SignatureVerifier(company.SIGNING_SECRET)
        self._traffic = traffic
        self._clock = clock
        self._session: ClientSession | None = None
        self._sent: dict[int, Parcel] = {}
        self._retries: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Opens what delivering needs."""
        self._session = ClientSession()

    async def stop(self) -> None:
        """Drops retries and connections."""
        for task in list(self._retries):
            task.cancel()
        await asyncio.gather(*self._retries, return_exceptions=True)
        await self.sockets.drop()
        if self._session is not None:
            await self._session.close()

    @property
    def connected(self) -> bool:
        """Whether there is anybody to deliver to."""
        return self.sockets.connected or bool(self.request_url)

    async def send(self, kind: str, payload: Json, what: str) -> Ack:
        """Delivers a command or an interaction once."""
        return await self._carry(self._parcel(kind, payload, what))

    async def send_event(self, event: Json) -> Ack:
        """Delivers an event; without an ack it comes again, up to three times."""
        payload = {
            "token": "sandbox-verification",
            "team_id": company.TEAM_ID,
            "context_team_id": company.TEAM_ID,
            "api_app_id": company.APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{uuid.uuid4().hex[:10].upper()}",
            "event_time": int(self._clock()),
            "is_ext_shared_channel": False,
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": company.TEAM_ID,
                    "user_id": company.BOT_USER,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
        }
        ack = await self._carry(self._parcel(EVENTS, payload, event["type"]))
        if not ack.ok and not ack.no_retry and self.connected:
            task = asyncio.create_task(self._retry(payload, event["type"], ack))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)
        return ack

    async def _retry(self, payload: Json, what: str, ack: Ack) -> None:
        for number, seconds in enumerate(self.retry_seconds, 1):
            await asyncio.sleep(seconds)
            retry = (number, _REASONS.get(ack.error, "http_error"))
            ack = await self._carry(self._parcel(EVENTS, payload, what, retry))
            if ack.ok or ack.no_retry:
                return

    async def redeliver(self, number: int) -> Ack | None:
        """Sends a traffic entry again, byte for byte; None if it was nothing sent to the bot."""
        parcel = self._sent.get(number)
        return None if parcel is None else await self._carry(parcel)

    def _parcel(
        self, kind: str, payload: Json, what: str, retry: tuple[int, str] | None = None
    ) -> Parcel:
        if self.sockets.connected or not self.request_url:
            return Parcel(what, envelope=_envelope(kind, payload, retry), shown=payload)
        if kind == EVENTS:
            body, content = json.dumps(payload), "application/json"
        else:
            form = payload if kind == COMMANDS else {"payload": json.dumps(payload)}
            body, content = urlencode(form), "application/x-www-form-urlencoded"
        timestamp = str(int(self._clock()))
        signature = self._signer.generate_signature(timestamp=timestamp, body=body) or ""
        headers = {
            "Content-Type": content,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature,
        }
        if retry is not None:
            headers |= {"x-slack-retry-num": str(retry[0]), "x-slack-retry-reason": retry[1]}
        return Parcel(
            what,
            url=self.request_url,
            body=body,
            headers=tuple(headers.items()),
            shown=payload | {"retry_num": retry[0]} if retry else payload,
        )

    async def _carry(self, parcel: Parcel) -> Ack:
        begun = time.monotonic()
        try:
            status, body, no_retry = await self._transport(parcel)
            error = ""
        except TimeoutError:
            status, body, no_retry, error = 0, "", False, "operation_timeout"
        except (ClientError, OSError):
            status, body, no_retry, error = 0, "", False, "dispatch_failed"
        ms = int((time.monotonic() - begun) * 1000)
        if not error and not 200 <= status < 300:
            error = f"http_status_{status}"
        entry = {"direction": "to_bot", "what": parcel.what, "status": status, "ms": ms}
        number = self._traffic.record(entry | {"request": parcel.shown, "response": body or error})
        self._sent[number] = parcel
        return Ack(status, body, ms, error, no_retry)

    async def _transport(self, parcel: Parcel) -> tuple[int, Any, bool]:
        if parcel.envelope is not None:
            return 200, await self.sockets.send(parcel.envelope, self.ack_seconds), False
        if self._session is None:
            raise ConnectionError("the workspace is not started")
        async with self._session.post(
            parcel.url,
            data=parcel.body.encode(),
            headers=dict(parcel.headers),
            timeout=ClientTimeout(total=self.ack_seconds),
            allow_redirects=False,
        ) as answer:
            text = await answer.text()
            no_retry = answer.headers.get("x-slack-no-retry") == "1"
            return answer.status, _body(text), no_retry


def _envelope(kind: str, payload: Json, retry: tuple[int, str] | None) -> Json:
    envelope: Json = {
        "envelope_id": str(uuid.uuid4()),
        "type": kind,
        "payload": payload,
        "accepts_response_payload": _ANSWERABLE[kind],
    }
    if kind == EVENTS:
        number, reason = retry or (0, "")
        envelope |= {"retry_attempt": number, "retry_reason": reason and "timeout"}
    return envelope


def _body(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
