"""Linking: each person's own credentials at a vendor, typed into a form or got at the vendor's page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bot.domain.errors import AmendError, Denied, invalid
from bot.domain.oauth import ACCOUNT, OAuth, challenge
from bot.domain.operations import Vendor
from bot.domain.people import Account
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import Ack, Body, Frame, Message, user_of
from bot.slack.incoming.modals import Modals
from bot.slack.views import forms, peopleforms
from bot.slack.views.blocks import code, escape
from bot.slack.views.peopleforms import View
from integrations.errors import VendorError

log = structlog.get_logger(__name__)

SIGNED_IN_WITHIN = 600  # seconds from the form to what the vendor's page gave
COMES_BACK = "/signed-in"  # where the vendor's page sends the browser, below `public_url`
TOO_LATE = "That was not for this form, or took more than ten minutes. Please sign in once more."


@dataclass(frozen=True)
class Linked:
    """How a try to link ended: in words, or with a problem, after which the form stands again."""

    words: str = ""
    problem: str = ""


@dataclass
class Linking:
    """`public_url` is where people's browsers reach this bot; "" where they do not."""

    pipeline: Pipeline
    modals: Modals
    frame: Frame
    public_url: str

    async def link(self, asked: Asked) -> Message | None:
        """`link VENDOR`: a form for one's own credentials."""
        vendor = self._linkable(asked.words)
        if not self.pipeline.parts.vault.open:
            raise Denied(["Amend has no AMEND_SECRET_KEY, so it keeps no credentials."])
        if vendor.oauth and not self.public_url:
            words = (
                f"{vendor.title} sends your browser back to Amend, which has no AMEND_PUBLIC_URL."
            )
            raise Denied([words])
        await self.modals.open(asked.body, self._view(vendor, asked.user))
        return None

    async def unlink(self, asked: Asked) -> Message:
        """`unlink VENDOR`: one's own credentials are removed at once."""
        vendor = self._linkable(asked.words)
        team = self.pipeline.parts.directory.team
        gone = await self.pipeline.parts.vault.forget(
            team, asked.user, vendor.name, actor=asked.user
        )
        await self.pipeline.acting.drop(asked.user, vendor.name)
        await self.pipeline.parts.store.end_linked(team, asked.user, vendor.name, "unlinked")
        words = "are removed" if gone else "were not stored"
        return {"text": f"Your own {vendor.title} credentials {words}."}

    def _linkable(self, words: str) -> Vendor:
        vendors = [each for each in self.pipeline.parts.registry.vendors if each.takes_own]
        found = next((each for each in vendors if each.name == words.strip().lower()), None)
        if found is None:
            names = ", ".join(f"`{each.name}`" for each in vendors) or "none"
            raise invalid(f"Which vendor? Those that take your own credentials: {names}.")
        return found

    def _view(self, vendor: Vendor, user: str, problem: str = "") -> View:
        if vendor.oauth is None:
            return peopleforms.link_view(vendor, problem)
        begun = {
            "user": user,
            "vendor": vendor.name,
            "state": secrets.token_urlsafe(16),
            "verifier": secrets.token_urlsafe(48),
        }
        page = vendor.oauth.page(begun["state"], challenge(begun["verifier"]), self._back)
        sealed = self.pipeline.parts.vault.seal(begun)
        return peopleforms.sign_in_view(vendor, page, sealed, problem)

    @property
    def _back(self) -> str:
        return f"{self.public_url}{COMES_BACK}"

    async def on_link(self, ack: Ack, body: Body) -> None:
        """Submitted credentials: nothing of them is kept before the vendor has taken them."""
        about = json.loads(body["view"].get("private_metadata") or "{}")
        vendor = self._linkable(str(about.get("vendor")))
        state = body["view"]["state"]["values"]
        view_id, user = body["view"]["id"], user_of(body)
        title, asking = f"Link {vendor.title}", f"Asking {vendor.title} …"
        shell = self.modals.voice.shell(view_id, title, asking)
        await ack({"response_action": "update", "view": shell})
        if vendor.oauth is None:
            linked = self._typed(user, vendor, peopleforms.read_link(vendor, state))
        else:
            sealed, pasted = str(about.get("sealed")), peopleforms.read_sign_in(state)
            linked = self._signed_in(user, vendor, vendor.oauth, sealed, pasted)
        self.frame.spawn(self._tell(view_id, user, vendor, linked))

    async def _tell(
        self, view_id: str, user: str, vendor: Vendor, linked: Coroutine[Any, Any, Linked]
    ) -> None:
        try:
            found = await linked
        except (VendorError, AmendError) as error:
            # The vendor does not list its users now, say: the form stands again, and says so.
            found = Linked(problem=str(error))
        view = self._view(vendor, user, escape(found.problem))
        if not found.problem:
            view = forms.message_view(f"Link {vendor.title}", found.words)
        await self.modals.voice.update(view_id, view)

    async def _typed(self, user: str, vendor: Vendor, secret: dict[str, str]) -> Linked:
        """By credentials that were typed: tried at the vendor first."""
        problem = await self._tried(vendor, secret)
        if problem:
            return Linked(problem=problem)
        account = vendor.account_of(secret) if vendor.account_of else ""
        return Linked(await self._keep(user, vendor, account, secret))

    async def _signed_in(
        self, user: str, vendor: Vendor, oauth: OAuth, sealed: str, pasted: str
    ) -> Linked:
        """By what the vendor's page gave to the browser of whoever opened the form.

        A code that came of another form is not taken: somebody else may have signed in with it.
        """
        begun = self.pipeline.parts.vault.unseal(sealed, SIGNED_IN_WITHIN) or {}
        code, _, state = "".join(pasted.split()).rpartition(".")
        ours = begun.get("user") == user and begun.get("vendor") == vendor.name
        if not (code and ours and secrets.compare_digest(state.encode(), begun["state"].encode())):
            return Linked(problem=TOO_LATE)
        try:
            held = await oauth.redeem(code, begun["verifier"], self._back)
        except VendorError as error:
            log.info("link_refused", vendor=vendor.name, error=type(error).__name__)
            return Linked(problem=str(error))
        return Linked(await self._keep(user, vendor, held[ACCOUNT], held))

    async def _tried(self, vendor: Vendor, secret: dict[str, str]) -> str:
        """Why the vendor does not take these credentials; "" where it does."""
        if vendor.personal is None:
            return "this vendor takes no credentials of one's own"
        try:
            own = vendor.personal(secret)
        except ValueError:
            return f"{vendor.title} cannot take these: a field is malformed."
        try:
            await own.check()
        except Exception as error:
            log.info("link_refused", vendor=vendor.name, error=type(error).__name__)
            return str(error)
        finally:
            await own.close()
        return ""

    async def _keep(
        self, user: str, vendor: Vendor, account: str, secret: Mapping[str, str]
    ) -> str:
        """Store verified credentials; the account must be the one that the person is mapped to."""
        team = self.pipeline.parts.directory.team
        mapped = (await self.pipeline.parts.store.accounts(team, user)).get(vendor.name)
        brought = None
        if mapped is None:
            mapped = await account_by_vendor(vendor, account)
            if mapped is None:
                return (
                    f"{vendor.title} took them, but you are not mapped to an account there, and it"
                    " does not tell your role. Please ask an administrator; nothing was kept."
                )
            brought = mapped
        elif vendor.names_person and vendor.users and not _same(mapped.account, account):
            return (
                f"You are mapped to `{escape(mapped.account)}`, and these are the credentials of"
                f" `{escape(account)}`. Please ask an administrator; nothing was kept."
            )
        await self.pipeline.parts.vault.keep(team, user, vendor.name, account, secret)
        if brought is not None:
            await self.pipeline.parts.store.map_person(team, user, brought, user, by_link=True)
        await self.pipeline.acting.drop(user, vendor.name)
        name = code(account) if vendor.names_person else "you"
        return f":white_check_mark: Linked. Your edits at {vendor.title} run as {name} now."


async def account_by_vendor(vendor: Vendor, account: str) -> Account | None:
    """The role that the vendor itself lists for an account; None where it lists none."""
    if vendor.users is None:
        return None
    for each in await vendor.users():
        if _same(each.account, account):
            return Account(vendor.name, each.account, each.role, each.scope)
    return None


def _same(mapped: str, account: str) -> bool:
    return mapped.casefold() == account.casefold()
