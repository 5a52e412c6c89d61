"""A person's programs: tokens by which they may look, plan and propose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.db.tokens import Tokens
from bot.domain.errors import Denied, NotAllowed
from bot.pipeline import Pipeline
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import (
    TRY_AGAIN,
    Ack,
    Body,
    Message,
    channel_of,
    response_url_of,
    user_of,
)
from bot.slack.incoming.modals import Modals
from bot.slack.views import forms, tokenforms

MADE_WITHIN = 2.0  # seconds inside the acknowledgement
OFF = "Programs may not ask here: AMEND_MCP is off. An administrator switches it on."
UNMAPPED = "You are not mapped to an account at any vendor, so a program of yours could do nothing."


@dataclass
class Programs:
    """`store` is None where programs are switched off."""

    pipeline: Pipeline
    modals: Modals
    store: Tokens | None

    async def token(self, asked: Asked) -> Message | None:
        """`token`: the form of a new one."""
        await self._open(asked.user)
        await self.modals.open(asked.body, tokenforms.token_view())
        return None

    async def tokens(self, asked: Asked) -> Message:
        """`tokens`: one's own that still work, each with a button that ends it."""
        return await self._list(await self._open(asked.user), asked.user)

    async def _list(self, store: Tokens, user: str) -> Message:
        return tokenforms.tokens_message(await store.listed(self._team, user))

    async def on_token(self, ack: Ack, body: Body) -> None:
        """The submitted form: made, and told this once."""
        name, days, errors = tokenforms.read_token(body["view"]["state"]["values"])
        if errors:
            await ack({"response_action": "errors", "errors": errors})
            return
        try:
            view = await self._made(user_of(body), name, days)
        except Denied as error:
            await self.pipeline.acting.turned_away(user_of(body), "token", error)
            view = forms.message_view("Token", " ".join(error.reasons))
        await ack({"response_action": "update", "view": view})

    async def _made(self, user: str, name: str, days: int) -> Message:
        try:
            async with asyncio.timeout(MADE_WITHIN):
                store = await self._open(user)
                secret = await store.make(self._team, user, name, days)
        except TimeoutError:
            return forms.message_view("Token", TRY_AGAIN)
        if not secret:
            raise Denied(["You have as many tokens as one person may; `/amend tokens` ends some."])
        return tokenforms.made_view(name, days, secret)

    async def revoke(self, body: Body, value: str) -> None:
        """One's own token ends at once; the list is shown anew."""
        user = user_of(body)
        store = await self._open(user)
        await store.revoke(value, user)
        message = await self._list(store, user)
        url = response_url_of(body)
        await self.modals.voice.tell(
            user, channel_of(body), message, response_url=url, replace=True
        )

    @property
    def _team(self) -> str:
        return self.pipeline.parts.directory.team

    async def _open(self, user: str) -> Tokens:
        """Where tokens are kept. Raises `Denied` where this person has no use for one."""
        if self.store is None:
            raise Denied([OFF])
        caller = await self.pipeline.parts.directory.caller(user)
        if caller.barred or not caller.accounts:
            raise NotAllowed([caller.barred or UNMAPPED])
        return self.store
