"""Modals: forms, their refinement as one fills them in, reviews, and what they lead to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError

from bot import tracing
from bot.db.store import NotKnown
from bot.db.tables import Draft, Request
from bot.domain.access import Decision
from bot.domain.errors import AmendError, Denied, InvalidInput, NotAllowed, NotNow, Problem
from bot.domain.operations import Context, Operation, Refinement
from bot.domain.parameters import Parameters, read
from bot.pipeline import Origin, Pipeline, bounds
from bot.slack.incoming.deeds import Deeds
from bot.slack.incoming.frame import (
    MAYBE_ACCEPTED,
    TRY_AGAIN,
    Ack,
    Body,
    Frame,
    channel_of,
    response_url_of,
    user_of,
)
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import forms
from bot.slack.views.blocks import escape
from bot.slack.views.review import WHEN_QUIET, review_errors, review_values

log = structlog.get_logger(__name__)

LOOKUP_WITHIN = 2.3  # seconds; Slack takes options only inside the acknowledgement's three
PATIENT = 5.0  # seconds that a request may take to be recorded where no acknowledgement waits
DRAFTS = "D"  # what the ids of drafts begin with; those of requests begin with R
REFINE_WITHIN = 8.0  # seconds; the form is usable all the while


@dataclass
class Modals:
    """Opens views with their trigger at once, fills them after, and reads what comes back."""

    pipeline: Pipeline
    voice: SlackVoice
    deeds: Deeds
    frame: Frame

    # --- opening ----------------------------------------------------------------------------------

    async def open(self, body: Body, view: Body) -> str | None:
        """Use the trigger at once; the view's id, or None where it had expired.

        In a modal the new view is laid on top of it.
        """
        try:
            client = self.voice.client
            opening = client.views_push if body.get("view", {}).get("type") == "modal" else None
            answer = await (opening or client.views_open)(trigger_id=body["trigger_id"], view=view)
        except (SlackApiError, OSError, TimeoutError, KeyError) as error:
            log.info("view_not_opened", error=type(error).__name__)
            await self.say(body, "Slack gave up waiting for the form; please do that once more.")
            return None
        return str(answer["view"]["id"])

    async def say(self, body: Body, text: str) -> None:
        """A sentence that only this person reads."""
        await self.voice.tell(
            user_of(body), channel_of(body), {"text": text}, response_url=response_url_of(body)
        )

    async def open_form(
        self,
        body: Body,
        operation: Operation,
        values: Mapping[str, Any],
        *,
        channel: str = "",
        thread_ts: str = "",
        source: str = "",
    ) -> None:
        """Open a shell with the trigger, then fill it once it is known that this person may."""
        view_id = await self.open(body, forms.loading_view(operation.title, "One moment …"))
        if view_id is None:
            return
        user, where = user_of(body), channel or channel_of(body)
        try:
            decision = await self._may_fill(operation, user, where, values)
            draft = await self.voice.draft(
                operation, user, values, channel=where, thread_ts=thread_ts, source=source
            )
        except AmendError as error:
            await self.pipeline.acting.turned_away(user, operation.name, error)
            await self.voice.update(view_id, _refusal(error))
            return
        except Exception:
            log.exception("form_not_opened")
            text = "Amend's database does not answer just now."
            await self.voice.update(view_id, forms.message_view("Not available", text))
            return
        view = forms.form_or_review(operation, values, draft=draft)
        await self.voice.update(view_id, view)
        if operation.refines and any(values.get(name) for name in operation.refines):
            context = Context(dict(values), decision.account)
            await self._refined(view_id, operation, context, draft)

    async def _may_fill(
        self, operation: Operation, user: str, channel: str, values: Mapping[str, Any]
    ) -> Decision:
        """Raises `Denied` for who may not do it at all, or not on what the form begins with."""
        acting = self.pipeline.acting
        decision = await acting.require(operation, user, channel)
        ids = [each for each in str(values.get(operation.records_in) or "").split(",") if each]
        why = await acting.not_to_decide(operation, user, decision, ids)
        if why:
            raise NotAllowed([f"You may not decide on this: {escape(why)}."])
        return decision

    async def form_of_draft(self, body: Body, draft_id: str) -> None:
        """The form filled with what was understood of something typed."""
        draft = await self.pipeline.parts.store.draft(draft_id)
        if draft is None or draft.slack_user != user_of(body):
            await self.say(body, "This form is not yours, or too old. Please type it once more.")
            return
        operation = self.pipeline.acting.operation(draft.operation)
        await self.open_form(
            body, operation, draft.values, channel=draft.channel, thread_ts=draft.thread_ts
        )

    # --- while it is filled in --------------------------------------------------------------------

    async def on_options(self, ack: Ack, body: Body) -> None:
        """Entries of a vendor's list as one types; an empty list rather than a late one."""
        about = _about(body)
        operation = self.pipeline.parts.registry.by_name(str(about.get("operation")))
        typed = str(body.get("value") or "")
        entries: Any = ()
        spec = operation.params().get(str(body.get("block_id"))) if operation else None
        if operation is not None and spec is not None and spec.lookup:
            try:
                async with asyncio.timeout(LOOKUP_WITHIN):
                    context = await self._context(body, operation)
                    own = await self.pipeline.acting.as_person(operation.name, user_of(body))
                    entries = await own.lookup(spec.lookup, typed, context)
            except Exception as error:
                log.info("lookup_failed", error=type(error).__name__)
        empty = spec.empty_means if spec else ""
        await ack({"options": forms.lookup_options(entries, typed, empty)})

    async def refine(self, body: Body) -> None:
        """An input that others depend on has changed: narrow those."""
        about = _about(body)
        operation = self.pipeline.parts.registry.by_name(str(about.get("operation")))
        if operation is None:
            return
        context = await self._context(body, operation)
        await self._refined(body["view"]["id"], operation, context, str(about.get("draft")))

    async def _refined(
        self, view_id: str, operation: Operation, context: Context, draft: str
    ) -> None:
        try:
            async with asyncio.timeout(REFINE_WITHIN):
                refinement = await operation.refine(context)
        except Exception as error:  # the form stays as it is, and the plan checks everything
            log.info("refinement_failed", error=type(error).__name__)
            return
        if refinement == Refinement():
            return
        known = {name: value for name, value in context.values.items() if value}
        values = {**refinement.values, **known}
        if not forms.holds(operation, values):
            return
        view = forms.form_view(operation, values, draft=draft, choices=refinement.choices)
        await self.voice.update(view_id, view)

    async def _context(self, body: Body, operation: Operation) -> Context:
        """The form as it stands; raises `Denied` where this person may not do the operation."""
        draft = await self.pipeline.parts.store.draft(str(_about(body).get("draft")))
        channel = draft.channel if draft else ""
        decision = await self.pipeline.acting.require(operation, user_of(body), channel)
        state = ((body.get("view") or {}).get("state") or {}).get("values") or {}
        return Context(forms.read_form(operation, state), decision.account)

    # --- submissions ------------------------------------------------------------------------------

    async def on_form(self, ack: Ack, body: Body) -> None:
        """A submitted form: its errors on their inputs, else the review in the same modal."""
        view = body["view"]
        about = _about(body)
        operation = self.pipeline.parts.registry.by_name(str(about.get("operation")))
        if operation is None:
            text = "This form is not switched on any more."
            view = forms.message_view("Not available", text)
            await ack({"response_action": "update", "view": view})
            return
        raw = forms.read_form(operation, view["state"]["values"])
        try:
            parameters = read(operation.parameters, raw)
        except InvalidInput as error:
            errors = forms.form_errors(operation, view, error.problems)
            await ack({"response_action": "errors", "errors": errors})
            return
        title = f"Reading {operation.noun[1]}"
        shell = self.voice.shell(view["id"], title, "Reading what is selected …")
        await ack({"response_action": "update", "view": shell})
        self.frame.spawn(self._plan_form(body, operation, parameters, str(about.get("draft"))))

    async def _plan_form(
        self, body: Body, operation: Operation, parameters: Parameters, draft_id: str
    ) -> None:
        view = body["view"]
        draft = await self.pipeline.parts.store.draft(draft_id)
        if draft is None or not _belongs(draft, user_of(body), operation):
            text = "This form is not yours, or too old. Please open a new one."
            await self.voice.update(view["id"], forms.message_view("Not accepted", text))
            return
        key = f"form:{view['id']}:{view.get('hash', '')}"
        await self.plan(operation, parameters, _of_draft(draft, key, view["id"]))

    async def _review_draft(self, view_id: str, draft_id: str, user: str) -> None:
        """The review of something typed that no form could hold."""
        draft = await self.pipeline.parts.store.draft(draft_id)
        if draft is None or draft.slack_user != user:
            text = "This is not yours, or too old. Please type it once more."
            await self.voice.update(view_id, forms.message_view("Review", text))
            return
        operation = self.pipeline.acting.operation(draft.operation)
        parameters = read(operation.parameters, draft.values)
        await self.plan(operation, parameters, _of_draft(draft, f"review:{view_id}", view_id))

    async def review_typed(
        self, body: Body, operation: Operation, parameters: Parameters, origin: Origin
    ) -> None:
        """A typed request that has to be reviewed first: the trigger opens the review."""
        title = f"Reading {operation.noun[1]}"
        view_id = await self.open(body, forms.loading_view(title, "Reading what is selected …"))
        if view_id is not None:
            await self.plan(operation, parameters, _in_view(origin, view_id))

    async def plan(self, operation: Operation, parameters: Parameters, origin: Origin) -> None:
        """Accept a request whose review will stand in the origin's view.

        No acknowledgement waits any more, and the person sees that something is under way.
        """
        request_id, why = await self.accept(
            operation, parameters, origin, direct=False, within=PATIENT
        )
        if why:
            await self.voice.update(origin.view_id, forms.message_view("Not started", why))
        elif request_id:
            await self.pipeline.parts.start("prepare", request_id)

    async def accept(
        self,
        operation: Operation,
        parameters: Parameters,
        origin: Origin,
        *,
        direct: bool,
        within: float | None = None,
    ) -> tuple[str, str]:
        """(the new request's id, why it has none); both are "" for a redelivery."""
        within = within or bounds.ACCEPT_WITHIN
        try:
            async with asyncio.timeout(2 * within):
                accepted = await self.pipeline.accept(
                    operation, parameters, origin, direct=direct, within=within
                )
                return accepted or "", ""
        except NotKnown:
            log.warning("maybe_accepted")
            return "", MAYBE_ACCEPTED
        except Exception as error:
            log.warning("not_accepted", error=type(error).__name__)
            return "", TRY_AGAIN

    async def again(self, body: Body, request_id: str, relation: str) -> None:
        """Retry or undo: the review of a new request made from a finished one."""
        source = await self.pipeline.parts.store.request(request_id)
        if source is None:
            await self.say(body, f"There is no request {escape(request_id)}.")
            return
        view_id = await self.open(body, forms.loading_view("Review", "Reading the records …"))
        if view_id is None:
            return
        key = f"{relation}:{view_id}"
        origin = Origin(
            key, user_of(body), source.channel, source.thread_ts, view_id, "", source.id, relation
        )
        try:
            new = await self.pipeline.again(source, relation, origin)
        except AmendError as error:
            await self.pipeline.acting.turned_away(origin.user, relation, error, source.id)
            await self.voice.update(view_id, forms.message_view("Not possible", str(error)))
            return
        if new:
            await self.pipeline.parts.start("prepare", new)

    async def on_review(self, ack: Ack, body: Body) -> None:
        """A submitted review starts the request: recorded first, then acknowledged."""
        about = _about(body)
        values = review_values(body["view"]["state"]["values"])
        problem = self.pipeline.misfit(values.run_at)
        if problem:
            await ack({"response_action": "errors", "errors": review_errors(problem)})
            return
        payload = {
            "user": user_of(body),
            "request": str(about.get("request")),
            "digest": str(about.get("digest")),
            "run_at": values.run_at,
            "in_quiet": values.when == WHEN_QUIET,
            "reason": values.reason,
        }
        key = f"submit:{payload['request']}:{payload['user']}"
        await self.deed(ack, key, "submit", payload, {"response_action": "clear"})

    async def deed(
        self, ack: Ack, key: str, kind: str, payload: Body, accepted: Body | None
    ) -> None:
        """Record a deed, acknowledge it, then do it; a repeat is acknowledged and has no effect."""
        if "request" in payload:
            tracing.clicked(payload["request"])
        taken = await self.frame.take(key, kind, payload)
        if taken is None:
            view = forms.message_view("Not accepted", TRY_AGAIN)
            await ack({"response_action": "push", "view": view})
            return
        await ack(accepted)
        if taken:
            self.frame.in_turn(self.deeds.do(key, kind, payload))

    # --- looking at requests ----------------------------------------------------------------------

    async def review_of(self, body: Body, request_id: str) -> None:
        """The review of a planned request, or of a draft, where no form could open by itself."""
        view_id = await self.open(body, forms.loading_view("Review", "One moment …"))
        if view_id is None:
            return
        if request_id.startswith(DRAFTS):
            await self._review_draft(view_id, request_id, user_of(body))
            return
        request = await self.pipeline.parts.store.request(request_id)
        if request is None or request.requester != user_of(body):
            text = "Only the person who asked can review this request."
            await self.voice.update(view_id, forms.message_view("Review", text))
            return
        await self.voice.planned_in(view_id, request, await self.pipeline.facts(request))

    async def details_of(self, body: Body, request_id: str) -> None:
        """A request's records with what became of each, for who may do such requests."""
        view_id = await self.open(body, forms.loading_view("Details", "One moment …"))
        if view_id is None:
            return
        request = await self.pipeline.parts.store.request(request_id)
        gone = forms.message_view("Details", "This request is not known any more.")
        view = await self._details(body, request) if request else gone
        await self.voice.update(view_id, view)

    async def _details(self, body: Body, request: Request) -> Body:
        try:
            await self.pipeline.looking.require(request, user_of(body))
        except AmendError as error:
            await self.pipeline.acting.turned_away(user_of(body), "details", error, request.id)
            return _refusal(error)
        return await self.deeds.details(request)


def problems_of(error: AmendError) -> tuple[Problem, ...]:
    return tuple(error.problems) if isinstance(error, InvalidInput) else (Problem("", str(error)),)


def _about(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a view carries of ours; a person may have edited it, so nothing in it is trusted."""
    try:
        found = json.loads((body.get("view") or {}).get("private_metadata") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _of_draft(draft: Draft, key: str, view_id: str) -> Origin:
    """Where a draft's request comes from, and what it follows."""
    return Origin(
        key=key,
        user=draft.slack_user,
        channel=draft.channel,
        thread_ts=draft.thread_ts,
        view_id=view_id,
        source=draft.source,
        relation="decision" if draft.source else "",
    )


def _belongs(draft: Draft, user: str, operation: Operation) -> bool:
    return draft.slack_user == user and draft.operation == operation.name


def _in_view(origin: Origin, view_id: str) -> Origin:
    return Origin(
        origin.key, origin.user, origin.channel, origin.thread_ts, view_id, origin.response_url
    )


def _refusal(error: AmendError) -> Body:
    """Why something does not open, in its place."""
    title = "Not now" if isinstance(error, NotNow) else "Not allowed"
    reasons = error.reasons if isinstance(error, Denied | NotNow) else (str(error),)
    return forms.message_view(title, "\n".join(reasons))
