"""Who may have a channel told: whoever reaches everything there, and nobody while it is not known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.domain.access import Answer
from bot.domain.operations import Operation, Registry, Vendor
from bot.domain.people import Account, Caller
from bot.domain.policy import Policy
from bot.pipeline.looking import Looking
from handlers.qualys.exceptions import RequestException
from handlers.qualys.tickets import EditTickets
from handlers.qualys.watches import TicketWatcher

GUARDED = '[[channels]]\nid = "C0OPS"\nallow = ["xpanse.*"]\n'
KNOWN = {"qualys.edit_tickets": (), "xpanse.update_incident": ()}


async def nothing() -> None:
    pass


def looking(caller: Caller, policy: Policy) -> Looking:
    async def found(user: str, *, fresh: bool = False) -> Caller:
        return caller

    operations = [cast(Operation, kind.__new__(kind)) for kind in (EditTickets, RequestException)]
    vendor = Vendor("qualys", "Qualys", operations, None, nothing, nothing)
    directory = SimpleNamespace(caller=found, team="T")
    parts: Any = SimpleNamespace(
        directory=directory, policy=policy, registry=Registry((vendor,)), store=None
    )
    return Looking(parts, cast(Any, None))


def mapped(role: str, *scope: str) -> Caller:
    return Caller("U1", "T", "One", {"qualys": Account("qualys", "one", role, scope)})


CASES = [
    (mapped("Manager"), "", Answer.YES),
    (mapped("Auditor"), "", Answer.YES),
    (mapped("Unit Manager", "10.0.0.0/8"), "", Answer.NO),
    (mapped("Reader", "10.0.0.0/8"), "", Answer.NO),
    (mapped("Contact"), "", Answer.NO),
    (mapped("Manager"), GUARDED, Answer.NO),
    (Caller("U1", "T", "One"), "", Answer.NO),
    (Caller("U1", "T", "One", barred="guests may do nothing"), "", Answer.NO),
    (Caller("U1", "T", "One", unsure="Slack does not answer."), "", Answer.NOT_NOW),
]


@pytest.mark.parametrize(("caller", "policy", "answer"), CASES)
async def test_who_may_watch(caller: Caller, policy: str, answer: Answer) -> None:
    rules = Policy.load(policy, KNOWN)
    decision = await looking(caller, rules).watching(TicketWatcher, "U1", "C0OPS")
    assert decision.answer is answer
    assert answer is Answer.YES or decision.reasons
