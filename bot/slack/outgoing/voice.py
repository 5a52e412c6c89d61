"""The pipeline's voice in Slack: private answers at once, public messages through the outbox."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.db.outbox import Outbox
from bot.db.store import Store
from bot.db.tables import Delivery, Draft, Request
from bot.domain.errors import AmendError, Barred, Denied, InvalidInput, Problem
from bot.domain.operations import Operation
from bot.domain.plans import RequestFacts, State
from bot.slack.outgoing.client import SlackClient, has_newer, plainer
from bot.slack.views import cards, forms
from bot.slack.views.review import review_view

BESIDE_THE_CARD = ("card", "reply", "follow")  # the others go where approvals are asked
FIRST_CARD = 0.7  # seconds; a run that is over by then has one message, which says how it ended

LOOKED_AGAIN = 0.1  # seconds
FOLLOWED_WITHIN = 3.0  # seconds in which Slack follows an acknowledgement
MOST_SHELLS = 1000  # of which nobody heard again, where what was to stand in them failed

log = structlog.get_logger(__name__)


@dataclass
class SlackVoice:
    """Says what the pipeline has to say."""

    client: SlackClient
    outbox: Outbox
    store: Store
    operation: Callable[[str], Operation]
    approvals_channel: str
    wake: Callable[[], None]
    answering: Callable[[str], AsyncWebhookClient]
    _shells: dict[str, str] = field(default_factory=dict)

    # --- what everybody sees ----------------------------------------------------------------------

    async def show(self, request_id: str, *beside: str) -> None:
        """The card, and what is to stand `beside` it: its `reply`, the `ask`, the `offer`."""
        request = await self.store.request(request_id)
        if request is not None:
            soon = FIRST_CARD if request.state == State.RUNNING else 0.0
            await self._want(request, "card", *beside, first_after=soon)

    async def follow(self, request_id: str) -> None:
        request = await self.store.request(request_id)
        if request is not None:
            await self._want(request, "follow")

    async def remind(self, request_id: str) -> None:
        request = await self.store.request(request_id)
        if request is not None:
            await self._want(request, f"remind{request.reminders}")

    async def _want(self, request: Request, *kinds: str, first_after: float = 0.0) -> None:
        offers = bool(self.approvals_channel)
        wanted = [self._delivery(request, each) for each in kinds if offers or each != "offer"]
        await self.outbox.want(*wanted, first_after=first_after)
        self.wake()

    def _delivery(self, request: Request, kind: str) -> Delivery:
        here = kind in BESIDE_THE_CARD
        return Delivery(
            key=f"{request.id}:{kind}",
            request_id=request.id,
            kind=kind,
            channel=request.channel if here else self.approvals_channel or request.channel,
            thread_ts=request.thread_ts if here else "",
        )

    # --- what one person sees ---------------------------------------------------------------------

    async def planned(self, request: Request, facts: RequestFacts) -> None:
        operation = self.operation(request.operation)
        if request.view_id:
            await self.update(request.view_id, review_view(operation, facts))
        else:
            await self.private(request, cards.review_prompt(operation, facts, request.id))

    async def planned_in(self, view_id: str, request: Request, facts: RequestFacts) -> None:
        """The review of a planned request, in a view that a button opened."""
        await self.update(view_id, review_view(self.operation(request.operation), facts))

    async def refused(self, request: Request, error: AmendError) -> None:
        operation = self.operation(request.operation)
        problems = error.problems if isinstance(error, InvalidInput) else (Problem("", str(error)),)
        if isinstance(error, Denied):
            await self._denied(request, error)
        elif request.view_id:
            draft = await self.draft(operation, request.requester, request.parameters, request)
            view = forms.form_or_review(
                operation, request.parameters, draft=draft, problems=problems
            )
            await self.update(request.view_id, view)
        else:
            draft = await self.draft(operation, request.requester, request.parameters, request)
            reply = cards.problem_reply(operation, problems, request.parameters, draft)
            await self.private(request, reply)

    async def _denied(self, request: Request, error: Denied) -> None:
        if request.view_id:
            text = "\n".join(error.reasons)
            await self.update(request.view_id, forms.message_view("Not allowed", text))
        elif isinstance(error, Barred):
            await self.private(request, cards.denial(error.reasons))
        else:
            operation = self.operation(request.operation)
            values = request.parameters
            draft = await self.draft(operation, request.requester, values, request)
            await self.private(request, cards.denial(error.reasons, hand_on=draft))

    async def draft(
        self,
        operation: Operation,
        user: str,
        values: Mapping[str, Any],
        where: Request | None = None,
        *,
        channel: str = "",
        thread_ts: str = "",
        source: str = "",
    ) -> str:
        """Keep what a person typed; the id under which a form finds it again."""
        draft = Draft(
            id=f"D{secrets.token_hex(8)}",
            slack_user=user,
            operation=operation.name,
            values=dict(values),
            channel=where.channel if where else channel,
            thread_ts=where.thread_ts if where else thread_ts,
            source=where.source if where and where.relation == "decision" else source,
            created_at=time.time(),
        )
        await self.store.save_draft(draft)
        return draft.id

    async def draft_in_time(
        self, operation: Operation, user: str, values: Mapping[str, Any], *, channel: str
    ) -> str:
        """The same inside an acknowledgement: "" where the database is too slow for it."""
        try:
            async with asyncio.timeout(1.0):
                return await self.draft(operation, user, values, channel=channel)
        except Exception:
            return ""

    def shell(self, view_id: str, title: str, text: str) -> dict[str, Any]:
        """A shell for an acknowledgement to put in a view's place; what is to stand there follows.

        Slack follows an acknowledgement when it comes to it, maybe after what we send next: an
        `update` that came before the shell would be lost under it. So the shell has a name, and
        `update` asks for the view by that name until it is there.
        """
        while len(self._shells) >= MOST_SHELLS:
            del self._shells[next(iter(self._shells))]
        self._shells[view_id] = name = secrets.token_hex(8)
        return {**forms.loading_view(title, text), "external_id": name}

    async def update(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Replace a view; one that its reader has closed meanwhile is left in peace."""
        shell = self._shells.pop(view_id, "")
        until = time.monotonic() + FOLLOWED_WITHIN
        while shell and time.monotonic() < until:
            if await self._updated(view, external_id=shell) != "not_found":
                return
            await asyncio.sleep(LOOKED_AGAIN)
        why = await self._updated(view, view_id=view_id)
        if why:
            log.info("view_not_updated", reason=why)

    async def _updated(self, view: Mapping[str, Any], **which: str) -> str:
        """Slack's error; "" where the view was replaced."""
        try:
            await self.client.views_update(view=dict(view), **which)
        except SlackApiError as error:
            return str(error.response.get("error"))
        return ""

    async def private(self, request: Request, message: Mapping[str, Any]) -> None:
        """A message to the caller alone, where they asked."""
        await self.tell(
            request.requester,
            request.channel,
            message,
            thread_ts=request.thread_ts,
            response_url=request.response_url,
        )

    async def tell(
        self,
        user: str,
        channel: str,
        message: Mapping[str, Any],
        *,
        thread_ts: str = "",
        response_url: str = "",
        replace: bool = False,
    ) -> None:
        """Privately: by the response URL while it lives, else ephemeral, else a direct message."""
        if response_url and await self._by_response_url(response_url, message, replace):
            return
        inside = thread_ts and await self._is_thread(channel, thread_ts)
        try:
            await self.client.chat_postEphemeral(
                channel=channel, user=user, thread_ts=thread_ts if inside else None, **message
            )
        except SlackApiError:
            direct = await self.client.conversations_open(users=user)
            await self.client.chat_postMessage(channel=direct["channel"]["id"], **message)

    async def _is_thread(self, channel: str, ts: str) -> bool:
        """Does a message have replies already? Slack shows nobody what is for one person's eyes in a
        thread that has none. True where Slack does not say."""
        try:
            found = await self.client.conversations_replies(channel=channel, ts=ts, limit=1)
        except (SlackApiError, ClientError, OSError, TimeoutError):
            return True
        parents = found.get("messages") or [{}]
        return bool(parents[0].get("reply_count"))

    async def direct(self, user: str, message: Mapping[str, Any]) -> None:
        """A direct message from the bot."""
        opened = await self.client.conversations_open(users=user)
        await self.client.chat_postMessage(channel=opened["channel"]["id"], **message)

    async def file(self, user: str, name: str, content: bytes, text: str) -> None:
        """A file in a direct message from the bot."""
        opened = await self.client.conversations_open(users=user)
        await self.client.files_upload_v2(
            channel=opened["channel"]["id"],
            filename=name,
            title=name,
            file=content,
            initial_comment=text,
        )

    async def person_of(self, email: str) -> str:
        """The Slack user id behind an e-mail address; "" for none."""
        try:
            answer = await self.client.users_lookupByEmail(email=email)
        except SlackApiError:
            return ""
        user = answer["user"]
        return "" if user.get("deleted") or user.get("is_bot") else str(user["id"])

    async def _by_response_url(self, url: str, message: Mapping[str, Any], replace: bool) -> bool:
        webhook = self.answering(url)
        how = {"response_type": "ephemeral", "replace_original": replace}
        fitted = self.client.fitted(message)
        try:
            answer = await webhook.send_dict({**fitted, **how})
            if answer.status_code == 200 or not has_newer(fitted):
                return answer.status_code == 200
            answer = await webhook.send_dict({**plainer(message), **how})
        except (OSError, TimeoutError, ValueError):
            return False
        if answer.status_code == 200:
            self.client.refused()
        return answer.status_code == 200
