"""People are named in a vendor's record by their name, in whatever letters it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.operations import Operation
from bot.domain.parameters import keeps
from bot.domain.people import Account, Caller
from bot.pipeline.parts import name_in
from handlers.ccs.tickets import UpdateTicket
from handlers.qualys.exceptions import RequestException
from handlers.qualys.tickets import EditTickets
from handlers.xpanse.incidents import UpdateIncident
from handlers.zstack.tickets import ChangeTicketStatus

EVERY = [EditTickets, RequestException, UpdateTicket, UpdateIncident, ChangeTicketStatus]
COMMENTED = [each for each in EVERY if each.comment]


def caller(name: str) -> Caller:
    vendors = ("qualys", "ccs", "xpanse", "zstack")
    accounts = {each: Account(each, "acme_mk", "Manager") for each in vendors}
    return Caller("U0MARA", "T", name, accounts)


def named(operation: type[Operation], name: str) -> str:
    return name_in(operation, operation.comment, caller(name))


@pytest.mark.parametrize(
    ("name", "latin"),
    [
        ("Mara Klein", "Mara Klein"),
        ("Łukasz Żak", "Lukasz Zak"),
        ("王伟", "WangWei"),
        ("Иван Петров", "Ivan Petrov"),
        ("Søren  Ó Broin", "Soren O Broin"),
        ("D’Arcy [SRE]", "D'Arcy SRE"),
        ("A〔", "A"),
        ("〔SRE〕 Mara", "SRE Mara"),
        ("😀", "acme_mk"),
        ("", "acme_mk"),
    ],
)
def test_a_name_in_the_ascii_comment_of_qualys(name: str, latin: str) -> None:
    assert named(EditTickets, name) == latin


@pytest.mark.parametrize("operation", [each for each in COMMENTED if each is not EditTickets])
@pytest.mark.parametrize("name", ["Łukasz Żak", "王伟", "Иван Петров"])
def test_letters_are_kept_where_the_vendor_takes_them(
    operation: type[Operation], name: str
) -> None:
    assert named(operation, name) == name


@pytest.mark.parametrize("operation", COMMENTED)
@given(name=st.text(max_size=30))
def test_every_name_becomes_one_that_the_vendor_takes(
    operation: type[Operation], name: str
) -> None:
    found = named(operation, name)
    assert found.strip() == found != ""
    assert not set("[]\n") & set(found)
    assert keeps(operation.parameters, operation.comment, found)


def test_who_has_neither_letters_nor_an_account_is_named_by_slack() -> None:
    assert name_in(EditTickets, "add_comment", Caller("U0MARA", "T", "...")) == "U0MARA"
