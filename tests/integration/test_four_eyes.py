"""Two people are two only where no account of one is an account of the other, then or now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from cryptography.fernet import Fernet
from sqlalchemy import update

from bot.db.engine import open_engine
from bot.db.ledger import Ledger
from bot.db.store import Store
from bot.db.tables import PlannedRecord, Request
from bot.db.vault import Vault
from bot.domain.operations import Operation, Reach, Record, Registry, Result, Vendor
from bot.domain.people import Account
from bot.domain.plans import State
from bot.pipeline.acting import Acting
from handlers.qualys.decisions import YOURS, DecideException
from handlers.qualys.exceptions import RequestException
from integrations.errors import Rejected, Temporary, VendorError
from integrations.qualys.exceptions import ComplianceException
from integrations.qualys.models import User
from tests.laid import lay

ASKER, OTHER = "U0ASKS", "U0ELSE"
SHARED = "amend_api"


async def nothing() -> None:
    pass


class House:
    """A team with its mapping, its vault, and one exception that was asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.vault = Vault(store, [Fernet.generate_key().decode()])
        self.operations = [
            cast(Operation, kind.__new__(kind)) for kind in (RequestException, DecideException)
        ]
        vendor = Vendor("qualys", "Qualys", self.operations, None, nothing, nothing)
        parts: Any = SimpleNamespace(
            store=store,
            vault=self.vault,
            ledger=Ledger(store),
            registry=Registry((vendor,)),
            directory=SimpleNamespace(team="T"),
        )
        self.acting = Acting(parts)

    async def maps(self, user: str, account: str) -> None:
        await self.store.map_person("T", user, Account("qualys", account, "Manager"), "admin")

    async def links(self, user: str, account: str) -> None:
        await self.vault.keep("T", user, "qualys", account, {"username": account})

    async def asked(self, account: str, *, own: bool) -> None:
        request = Request(
            id="R2345678",
            origin="x",
            operation=RequestException.name,
            parameters={},
            team="T",
            requester=ASKER,
            channel="C",
            state=State.SUCCEEDED,
            created_at=1.0,
            account=account,
            own_account=own,
        )
        await self.store.accept(request, float("inf"))
        ledger = Ledger(self.store)
        await ledger.add("R2345678", 0, [(Record("1", "", {}, {"state": "Pending"}), None)])
        async with self.store.transaction() as session:
            done = {"made": "59", "result": Result.CHANGED.value}
            await session.exec(update(PlannedRecord).values(**done))

    async def why(self, user: str = OTHER) -> str:
        return await self.acting.own_wish(self.operations[1], user, "59")


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    lay(tmp_path / "amend.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'amend.db'}")
    store = Store(engine)
    yield House(store)
    await store.close()


# (asker mapped, linked, asked under, own) against (other mapped, linked): is it one and the same?
CASES = [
    (("ann", "", SHARED, False), ("bob", ""), False),
    (("ann", "", SHARED, False), ("ANN", ""), True),
    (("ann", "ann2", "ann2", True), ("ann2", ""), True),
    (("ann", "", SHARED, False), ("bob", "ann"), True),
    (("ann", "ann2", SHARED, False), ("bob", "Ann2"), True),
    (("ann", "", "old", True), ("old", ""), True),
    (("ann", "", "old", True), ("bob", "old"), True),
    (("ann", "", "old", True), ("bob", "bob2"), False),
    (("ann", "", SHARED, False), ("bob", "bob2"), False),
]


@pytest.mark.parametrize(("asker", "other", "same"), CASES)
async def test_every_account_of_both_counts(
    house: House, asker: tuple[str, str, str, bool], other: tuple[str, str], same: bool
) -> None:
    mapped, linked, under, own = asker
    for user, account, also in ((ASKER, mapped, linked), (OTHER, *other)):
        await house.maps(user, account)
        if also:
            await house.links(user, also)
    await house.asked(under, own=own)
    assert bool(await house.why()) is same
    assert "own request" in await house.why(ASKER)


async def test_who_is_mapped_to_another_account_has_no_credentials_any_more(house: House) -> None:
    await house.maps(ASKER, "ann")
    await house.links(ASKER, "ann")
    await house.maps(ASKER, "ANN")
    assert await house.vault.linked("T", ASKER) == {"qualys": "ann"}
    await house.maps(ASKER, "bob")
    assert await house.vault.linked("T", ASKER) == {}


@pytest.mark.parametrize(
    ("rows", "replace", "kept"),
    [
        ([(ASKER, Account("qualys", "bob", "Manager"))], False, []),
        ([(ASKER, Account("qualys", "ann", "Reader"))], False, ["ann"]),
        ([(OTHER, Account("qualys", "carl", "Manager"))], False, ["ann"]),
        ([(OTHER, Account("qualys", "carl", "Manager"))], True, []),
    ],
)
async def test_nor_has_who_is_imported_so_or_left_out(
    house: House, rows: list[tuple[str, Account]], replace: bool, kept: list[str]
) -> None:
    await house.maps(ASKER, "ann")
    await house.links(ASKER, "ann")
    await house.store.import_people("T", rows, replace=replace, actor="cli")
    assert list((await house.vault.linked("T", ASKER)).values()) == kept


class Listed:
    """What Qualys lists: one exception, who spoke of it first, and who made it (a user id).

    The first stands in the list; by the second it is only found (facts 5.2, `created_by`).
    """

    def __init__(self, shown: str, made_by: str, error: VendorError | None = None) -> None:
        self.shown, self.made_by, self.error = shown, made_by, error

    async def exceptions(self, filters: Mapping[str, str]) -> AsyncIterator[ComplianceException]:
        if "created_by" in filters and self.error is not None:
            raise self.error
        if filters.get("created_by", self.made_by) == self.made_by:
            found = SimpleNamespace(number="59", created_by=self.shown, history=(), ip="10.0.0.1")
            yield cast(ComplianceException, found)

    async def users(self) -> list[User]:
        logins = enumerate(("ann", "Ann2", "carl"), 1)
        return [cast(User, SimpleNamespace(id=at, login=login)) for at, login in logins]


async def barred(house: House, listed: Listed) -> Mapping[str, str]:
    """Why somebody who is mapped to `ann`, with `ann2` linked, may not decide."""
    await house.maps(OTHER, "ann")
    await house.links(OTHER, "ann2")
    account = (await house.store.accounts("T", OTHER))["qualys"]
    decides = DecideException(cast(Any, listed), cast(Any, listed))
    return await decides.barred(cast(Any, None), [Record("59", "", {}, {})], account, Reach.ALL)


@pytest.mark.parametrize(
    ("shown", "made_by", "own"),
    [
        ("ann", "9", True),
        ("ANN2", "9", True),
        ("carl", "3", False),
        ("", "", False),
        # A console's history may begin with another's remark: who made it is asked for.
        ("carl", "1", True),
        ("carl", "2", True),
        ("", "1", True),
    ],
)
async def test_what_qualys_says_of_who_asked_is_held_against_every_account(
    house: House, shown: str, made_by: str, own: bool
) -> None:
    assert await barred(house, Listed(shown, made_by)) == ({"59": YOURS} if own else {})


async def test_where_qualys_refuses_the_question_the_list_has_to_do(house: House) -> None:
    assert await barred(house, Listed("carl", "1", Rejected("Qualys", "no"))) == {}


async def test_where_it_does_not_answer_nothing_is_known(house: House) -> None:
    with pytest.raises(Temporary):
        await barred(house, Listed("carl", "1", Temporary("Qualys", "busy")))
