"""People: administrators map them, and a denied request is handed on to somebody who may."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import structlog

from bot.db.tables import Draft
from bot.domain import access
from bot.domain.errors import AmendError, NotAllowed, NotNow
from bot.domain.mapping import Vendors, entry, entry_problems
from bot.domain.operations import Operation, VendorUser
from bot.domain.people import Account
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import TRY_AGAIN, Ack, Body, Frame, Message, user_of
from bot.slack.incoming.modals import Modals
from bot.slack.incoming.topics.linking import account_by_vendor
from bot.slack.views import forms, peopleforms
from bot.slack.views.blocks import escape

log = structlog.get_logger(__name__)

SAVE_WITHIN = 2.0  # seconds inside the acknowledgement
TOO_LONG_TO_SHOW = (
    "This entry is longer than a form can hold, so nothing of it is shown or changed here."
    " `amend people export` and `amend people import` carry it whole."
)
SUGGEST_WITHIN = 5.0  # seconds; the list does not wait longer for a vendor


@dataclass
class People:
    """`admins` are Slack user ids."""

    pipeline: Pipeline
    modals: Modals
    frame: Frame
    admins: frozenset[str]

    # --- administrators ---------------------------------------------------------------------------

    async def people(self, asked: Asked) -> Message | None:
        """`people`: the list, with forms to add, change and remove."""
        self._require_admin(asked.user)
        view_id = await self.modals.open(asked.body, forms.loading_view("People", "One moment …"))
        if view_id is not None:
            await self._list(view_id, 0)
        return None

    def _require_admin(self, user: str) -> None:
        if user in self.admins:
            return
        who = ", ".join(f"<@{each}>" for each in sorted(self.admins)[:3]) or "nobody yet"
        raise NotAllowed([f"Only administrators of Amend map people. They are: {who}."])

    async def _list(self, view_id: str, page: int) -> None:
        team = self.pipeline.parts.directory.team
        people = await self.pipeline.parts.store.mapped(team)
        view = peopleforms.people_view(people, page)
        await self.modals.voice.update(view_id, view)
        if page == 0:
            suggestions = await self._suggestions(people)
            if suggestions:
                view = peopleforms.people_view(people, page, suggestions)
                await self.modals.voice.update(view_id, view)

    async def _suggestions(
        self, people: list[tuple[str, Account]]
    ) -> list[tuple[str, str, VendorUser]]:
        """Accounts that nobody is mapped to, and whose e-mail address somebody has in Slack."""
        found: list[tuple[str, str, VendorUser]] = []
        for vendor in self.pipeline.parts.registry.vendors:
            if vendor.users is None:
                continue
            taken = {each.account.casefold() for _, each in people if each.vendor == vendor.name}
            try:
                async with asyncio.timeout(SUGGEST_WITHIN):
                    users = await vendor.users()
                    for user in users:
                        if user.email and user.account.casefold() not in taken and len(found) < 5:
                            person = await self.modals.voice.person_of(user.email)
                            found += [(person, vendor.name, user)] if person else []
            except Exception as error:  # a suggestion is a courtesy
                log.info("no_suggestions", vendor=vendor.name, error=type(error).__name__)
        return found

    async def turn(self, body: Body, value: str) -> None:
        """Another page of the list."""
        self._require_admin(user_of(body))
        await self._list(body["view"]["id"], int(value or 0))

    async def edit(self, body: Body, value: str) -> None:
        """One entry's form: new, `USER:VENDOR` to change, `USER:VENDOR:ACCOUNT` as suggested."""
        self._require_admin(user_of(body))
        user, vendor, suggested = [*value.split(":", 2), "", ""][:3]
        team = self.pipeline.parts.directory.team
        account = (await self.pipeline.parts.store.accounts(team, user)).get(vendor)
        if suggested:
            found = self.pipeline.parts.registry.vendor(vendor)
            account = await account_by_vendor(found, suggested) if found else None
        vendors = self.pipeline.parts.registry.vendors
        view = forms.message_view("Who is who", TOO_LONG_TO_SHOW)
        if peopleforms.fits_entry(account):
            view = peopleforms.entry_view(vendors, user, account)
        await self.modals.open(body, view)

    async def on_entry(self, ack: Ack, body: Body) -> None:
        """A submitted entry: checked, stored, then acknowledged."""
        actor = user_of(body)
        cells = peopleforms.read_entry(body["view"]["state"]["values"])
        if actor not in self.admins:
            await ack({"response_action": "errors", "errors": {"account": "Only administrators."}})
            return
        errors = dict(await self._entry_errors(cells))
        if errors:
            await ack({"response_action": "errors", "errors": errors})
            return
        account = entry(cells, self._vendors())
        team = self.pipeline.parts.directory.team
        try:
            async with asyncio.timeout(SAVE_WITHIN):
                await self.pipeline.parts.store.map_person(
                    team, cells["slack_user"], account, actor
                )
        except Exception:
            await ack({"response_action": "errors", "errors": {"account": _plain(TRY_AGAIN)}})
            return
        await ack()
        self.frame.spawn(self._refresh(body))

    async def _entry_errors(self, cells: dict[str, str]) -> list[tuple[str, str]]:
        found = entry_problems(cells, self._vendors())
        caller = await self.pipeline.parts.directory.caller(cells["slack_user"], fresh=True)
        if why := caller.barred or caller.unsure:
            found.append(("slack_user", why))
        return [
            (name, f"{name} {words}" if name != "slack_user" else words) for name, words in found
        ]

    def _vendors(self) -> Vendors:
        return {each.name: each.roles for each in self.pipeline.parts.registry.vendors}

    async def _refresh(self, body: Body) -> None:
        """The list below the form shows what was saved."""
        below = body["view"].get("previous_view_id")
        if below:
            await self._list(below, 0)

    async def remove(self, body: Body, value: str) -> None:
        self._require_admin(user_of(body))
        user, _, vendor = value.partition(":")
        team = self.pipeline.parts.directory.team
        await self.pipeline.parts.store.unmap_person(team, user, vendor, user_of(body))
        await self.pipeline.parts.vault.forget(team, user, vendor, actor=user_of(body))
        await self.pipeline.acting.drop(user, vendor)
        text = f"<@{user}> is no longer mapped at {escape(vendor)}."
        await self.modals.voice.update(body["view"]["id"], forms.message_view("Removed", text))
        await self._refresh(body)

    # --- handing a denied request on --------------------------------------------------------------

    async def hand(self, body: Body, draft_id: str) -> None:
        """The button of a denial: to whom shall the finished request go?"""
        view_id = await self.modals.open(body, forms.loading_view("Hand it on", "One moment …"))
        if view_id is None:
            return
        user = user_of(body)
        try:
            view = await self._hand_view(draft_id, user)
        except AmendError as error:
            await self.pipeline.acting.turned_away(user, "hand", error)
            view = forms.message_view("Hand it on", str(error))
        await self.modals.voice.update(view_id, view)

    async def _hand_view(self, draft_id: str, user: str) -> dict[str, Any]:
        await self.pipeline.acting.require_standing(user)
        draft = await self.pipeline.parts.store.draft(draft_id)
        if draft is None or draft.slack_user != user:
            return forms.message_view("Hand it on", "This is not yours, or too old.")
        operation = self.pipeline.acting.operation(draft.operation)
        able = await self._able(operation, draft)
        if not able:
            return forms.message_view("Hand it on", "Nobody here may do this yet.")
        return peopleforms.hand_view(draft.id, able, operation.title.lower())

    async def _able(self, operation: Operation, draft: Draft) -> list[tuple[str, str]]:
        """Those who may do it in that channel, as (Slack user id, name).

        Raises `NotNow` where nobody is known to, and of somebody it cannot be known.
        """
        team = self.pipeline.parts.directory.team
        people = await self.pipeline.parts.store.mapped(team, operation.vendor)
        found, unsure = [], list[str]()
        for user, _ in people:
            if user == draft.slack_user:
                continue
            caller = await self.pipeline.parts.directory.caller(user)
            decision = access.decide(operation, caller, draft.channel, self.pipeline.parts.policy)
            unsure += decision.reasons if decision.unsure else ()
            if decision.allowed:
                found.append((user, caller.name))
        if unsure and not found:
            raise NotNow(unsure[:1])
        return found

    async def on_hand(self, ack: Ack, body: Body) -> None:
        """Whom it goes to: recorded, then acknowledged."""
        about = json.loads(body["view"].get("private_metadata") or "{}")
        to = peopleforms.read_hand(body["view"]["state"]["values"])
        payload = {"user": user_of(body), "to": to, "draft": str(about.get("draft"))}
        await self.modals.deed(ack, f"hand:{body['view']['id']}", "hand", payload, None)


def _plain(text: str) -> str:
    return text.replace("*", "")
