"""A sign-in that ends by itself is renewed once, whoever asks, and never over what a person did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.fernet import Fernet

from bot.db.engine import open_engine
from bot.db.store import Store
from bot.db.vault import Vault
from bot.domain.oauth import OAuth
from bot.domain.operations import Vendor
from bot.pipeline.renewing import Renewing
from integrations.errors import BadCredentials, Temporary
from tests.laid import lay

NOW = 2_000_000_000.0
ENDED = {"access_token": "a0", "refresh_token": "r0", "account": "mara", "ends_at": str(NOW - 1)}


@dataclass
class Server:
    """An authorization server whose refresh tokens work once."""

    valid: str = "r0"
    asked: int = 0
    slow: float = 0.0
    broken: list[Exception] = field(default_factory=list)

    async def renew(self, held: Mapping[str, str]) -> Mapping[str, str]:
        self.asked += 1
        number = self.asked
        if self.broken:
            raise self.broken.pop(0)
        if held["refresh_token"] != self.valid:
            raise BadCredentials("Doors", "used up")
        self.valid = f"r{number}"
        await asyncio.sleep(self.slow)
        new = {"access_token": f"a{number}", "refresh_token": self.valid}
        return {**held, **new, "ends_at": str(NOW + 600)}


def vendor(server: Server) -> Vendor:
    async def nothing(*_: Any) -> Any:
        raise AssertionError

    oauth = OAuth(lambda *_: "", nothing, server.renew, lambda _: vendor(server))
    return Vendor("doors", "Doors", (), None, nothing, nothing, oauth=oauth)


@pytest_asyncio.fixture
async def vaults(tmp_path: Path) -> AsyncIterator[list[Vault]]:
    """Two replicas' views of one database."""
    lay(tmp_path / "amend.db")
    url, key = f"sqlite:///{tmp_path / 'amend.db'}", Fernet.generate_key().decode()
    stores = [Store(open_engine(url), clock=lambda: NOW) for _ in range(2)]
    made = [Vault(each, [key]) for each in stores]
    await made[0].keep("T", "U", "doors", "mara", ENDED)
    yield made
    for each in stores:
        await each.close()


async def of(vault: Vault, server: Server) -> Renewing:
    found = await vault.take("T", "U", "doors")
    assert found is not None
    return Renewing(vault, "T", "U", vendor(server), *found)


async def test_twenty_calls_of_two_replicas_bring_one_renewal(vaults: list[Vault]) -> None:
    server = Server(slow=0.3)
    replicas = [await of(each, server) for each in vaults]
    held = await asyncio.gather(*(each("") for each in replicas * 10))
    assert {each["access_token"] for each in held} == {"a1"}
    assert server.asked == 1
    stored = await vaults[1].take("T", "U", "doors")
    assert stored is not None
    assert stored[1]["refresh_token"] == "r1"


async def test_what_was_refused_is_renewed_and_what_is_newer_is_taken(vaults: list[Vault]) -> None:
    server = Server()
    first, second = [await of(each, server) for each in vaults]
    assert (await first(""))["access_token"] == "a1"
    assert (await second(""))["access_token"] == "a1", "what the other one wrote down"
    assert (await first("a1"))["access_token"] == "a2"
    assert (await second("a1"))["access_token"] == "a2"
    assert server.asked == 2


async def test_whoever_stops_waiting_cuts_no_renewal_off(vaults: list[Vault]) -> None:
    server = Server(slow=0.3)
    renewing = await of(vaults[0], server)
    waiting = asyncio.create_task(renewing(""))
    await asyncio.sleep(0.15)
    waiting.cancel()
    assert (await renewing(""))["access_token"] == "a1"
    assert server.asked == 1


async def test_a_claim_that_nobody_ends_lapses(vaults: list[Vault]) -> None:
    """A replica that was killed while it renewed."""
    assert await vaults[1].claim("T", "U", "doors")
    assert not await vaults[0].claim("T", "U", "doors")
    vaults[0].store.clock = lambda: NOW + 61
    assert await vaults[0].claim("T", "U", "doors")


async def test_a_claim_of_a_clock_that_was_ahead_holds_nobody_up(vaults: list[Vault]) -> None:
    vaults[1].store.clock = lambda: NOW + 3600
    assert await vaults[1].claim("T", "U", "doors")
    assert await vaults[0].claim("T", "U", "doors")


async def test_a_lost_answer_is_not_known_and_the_next_call_asks_again(
    vaults: list[Vault],
) -> None:
    server = Server(broken=[Temporary("Doors", "no new token came")])
    renewing = await of(vaults[0], server)
    with pytest.raises(Temporary):
        await renewing("")
    assert (await renewing(""))["access_token"] == "a2"


async def test_a_refusal_is_remembered_for_a_minute(vaults: list[Vault]) -> None:
    server = Server(valid="another")
    renewing = await of(vaults[0], server)
    for _ in range(5):
        with pytest.raises(BadCredentials):
            await renewing("")
    assert server.asked == 1


async def test_nothing_is_written_over_what_the_person_did_meanwhile(vaults: list[Vault]) -> None:
    server = Server(slow=0.3)
    renewing = await of(vaults[0], server)
    waiting = asyncio.create_task(renewing(""))
    await asyncio.sleep(0.15)
    await vaults[1].forget("T", "U", "doors", actor="U")
    await asyncio.wait([waiting])
    assert await vaults[1].take("T", "U", "doors") is None
    with pytest.raises(BadCredentials, match="stored no more"):
        await renewing("a1")


async def test_a_form_is_sealed_for_its_time_only(vaults: list[Vault]) -> None:
    sealed = vaults[0].seal({"user": "U", "verifier": "v"})
    assert "U" not in sealed.split("verifier")
    assert vaults[0].unseal(sealed, 600) == {"user": "U", "verifier": "v"}
    assert vaults[0].unseal(sealed, -1) is None
    assert vaults[0].unseal("garbage", 600) is None
    assert vaults[0].unseal("é", 600) is None
