"""Registers: what stands open at a vendor, as a private table."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from bot.domain.errors import InvalidInput, invalid
from bot.domain.operations import Listing, Register
from bot.domain.parameters import Parameters, read
from bot.domain.reading import read_filters
from bot.domain.text import resolve
from bot.pipeline import Pipeline
from bot.pipeline.parts import explain
from bot.slack.incoming.commands import Asked
from bot.slack.incoming.frame import Message
from bot.slack.outgoing.voice import SlackVoice
from bot.slack.views import registers
from bot.slack.views.blocks import escape
from integrations.errors import VendorError


@dataclass
class Registers:
    """Nobody sees more than their role and scope at the vendor let them see."""

    pipeline: Pipeline
    voice: SlackVoice

    async def show(self, register: Register, asked: Asked) -> Message:
        """`exceptions [NAME=VALUE …]`: the table; the whole as a file where it is long."""
        operation = self.pipeline.acting.operation(register.rights)
        decision = await self.pipeline.acting.require(operation, asked.user, asked.channel)
        assert decision.account is not None  # noqa: S101 - who may has an account
        assert decision.reach is not None  # noqa: S101 - and a reach
        try:
            selection = _selected(register, asked.words)
            listing = await register.rows(selection, decision.account, decision.reach)
        except InvalidInput as error:
            return {"text": escape(str(error))}
        except VendorError as error:
            return {"text": escape(explain(error))}
        message = registers.message(register, listing)
        if registers.cut_off(message, listing):
            name, words = f"{register.command}.csv", registers.summary(register, listing)
            await self.voice.file(asked.user, name, _csv(listing), words)
        return message


def _selected(register: Register, words: str) -> Parameters:
    found = read_filters(register, words)
    if found.records:
        names = ", ".join(f"`{each}`" for each in register.params())
        message = f"`{found.records[0]}` has no name before it; known are {names}, as NAME=VALUE."
        raise invalid(message)
    return read(register.parameters, resolve(register.params(), found, ""))


def _csv(listing: Listing) -> bytes:
    """The whole, for a spreadsheet; what would be a formula there stays text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(listing.columns)
    writer.writerows([_tame(each) for each in row] for row in listing.rows)
    return out.getvalue().encode("utf-8-sig")


def _tame(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
