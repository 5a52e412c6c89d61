"""A vendor where each person signs in at its own page (`API.md`): client, one operation, entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from bot.domain.oauth import Fresh, Held, OAuth
from bot.domain.operations import (
    Batch,
    Operation,
    Outcome,
    Reach,
    Record,
    Result,
    Vendor,
    VendorEntry,
    VendorUser,
)
from bot.domain.parameters import Kind, Param, Parameters, choice, items
from bot.domain.people import Account
from integrations.config import Name, Secret, VendorSettings, config, load
from integrations.errors import BadCredentials, Rejected
from integrations.http import Http, Reply, Request
from integrations.json import encoded, parsed
from integrations.oauth import Bearer, OAuthServer
from integrations.secrets import spellings

TITLE = "Acme Doors"


class DoorsSettings(VendorSettings):
    """`DOORS_URL`, the service account's `DOORS_TOKEN`, and Amend as a registered client."""

    model_config = config("DOORS_")
    example: ClassVar[str] = "https://doors.example"

    token: Secret
    client_id: Name
    client_secret: Secret


class DoorsClient:
    """The doors' API; `fresh` gives the credentials that it calls with."""

    def __init__(self, settings: DoorsSettings, fresh: Fresh) -> None:
        self._url = settings.url
        self._http = Http(TITLE, verify=settings.verify)
        self._bearer = Bearer(self._http, fresh)

    async def me(self) -> dict[str, str]:
        return dict(await self._get("/me"))

    async def people(self) -> list[dict[str, str]]:
        return list(await self._get("/people"))

    async def doors(self) -> dict[str, dict[str, str]]:
        return dict(await self._get("/doors"))

    async def turn(self, door: str, lock: str) -> str:
        reply = await self._send("PUT", f"/doors/{door}", {"lock": lock})
        said = parsed(TITLE, reply)
        if reply.status != 200:
            raise Rejected(TITLE, str(said["error"]))
        return str(said["says"])

    async def check(self) -> None:
        await self.me()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _get(self, path: str) -> Any:
        return parsed(TITLE, await self._send("GET", path, None))

    async def _send(self, method: str, path: str, body: Any) -> Reply:
        payload = None if body is None else encoded(body)
        headers = {"Content-Type": "application/json"} if payload else {}
        request = Request(method, f"{self._url}{path}", headers, payload)
        reply = await self._bearer.send(request, writes=method == "PUT")
        if reply.status == 401:
            raise BadCredentials(TITLE, "the token is not right")
        return reply


class TurnParameters(Parameters):
    """Which doors, and how their locks shall be."""

    door: Annotated[
        tuple[str, ...],
        *items(
            "door", Param(Kind.SELECTION, "Doors", "Such as `D1`.", example="D1"), str.strip
        ).__metadata__,
    ]
    lock: Annotated[
        str,
        *choice(
            "lock", Param(Kind.CHANGE, "Lock", choices={"open": "Open", "locked": "Locked"})
        ).__metadata__,
    ]


class TurnLocks(Operation):
    """Opens and locks doors."""

    name: ClassVar[str] = "doors.turn"
    vendor: ClassVar[str] = "doors"
    vendor_title: ClassVar[str] = TITLE
    command: ClassVar[str] = "doors"
    title: ClassVar[str] = "Turn locks"
    summary: ClassVar[str] = "Opens or locks doors."
    noun: ClassVar[tuple[str, str]] = ("door", "doors")
    roles: ClassVar[Mapping[str, Reach]] = {"Keeper": Reach.ALL}
    parameters: ClassVar[type[Parameters]] = TurnParameters
    records_in: ClassVar[str] = "door"
    examples: ClassVar[tuple[str, ...]] = ("D1 lock=open",)

    def __init__(self, client: DoorsClient) -> None:
        self._client = client

    def repeatable(self, parameters: Parameters) -> bool:
        return True

    async def plan(
        self, parameters: Parameters, account: Account, reach: Reach
    ) -> AsyncIterator[Record]:
        wanted: Any = parameters
        doors = await self._client.doors()
        for each in wanted.door:
            lock = doors.get(each, {}).get("lock", "")
            left_out = "" if lock else "there is no such door"
            yield Record(each, "", {"lock": lock}, {"lock": wanted.lock}, left_out)

    async def read(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        doors = await self._client.doors()
        return {each: {"lock": doors[each]["lock"]} for each in ids if each in doors}

    async def apply(self, batch: Batch) -> Sequence[Outcome]:
        (record,) = batch.records
        said = await self._client.turn(record.id, batch.changes["lock"])
        return [Outcome(record.id, Result.CHANGED, said)]

    async def reconcile(self, batch: Batch, since: str) -> Sequence[Outcome]:
        return [Outcome(each.id, Result.TO_SEND) for each in batch.records]


def connect() -> Vendor | None:
    settings = load(DoorsSettings)
    return None if settings is None else made(settings)


def made(settings: DoorsSettings) -> Vendor:
    """The doors under the service account, and how each person signs in there."""
    service = {"access_token": settings.token.get_secret_value()}
    return _vendor(settings, _always(service), _signing_in(settings))


def _vendor(settings: DoorsSettings, fresh: Fresh, oauth: OAuth | None = None) -> Vendor:
    client = DoorsClient(settings, fresh)

    async def users() -> Sequence[VendorUser]:
        return [
            VendorUser(each["account"], each["name"], each["email"], each["role"])
            for each in await client.people()
        ]

    return Vendor(
        name="doors",
        title=TITLE,
        operations=(TurnLocks(client),),
        roles=frozenset({"Keeper"}),
        check=client.check,
        close=client.aclose,
        account="porter",
        secrets=(settings.token.get_secret_value(), settings.client_secret.get_secret_value()),
        users=users,
        oauth=oauth,
    )


def _signing_in(settings: DoorsSettings) -> OAuth:
    secret = settings.client_secret.get_secret_value()
    server = OAuthServer(
        Http(TITLE, verify=settings.verify, secrets=spellings(secret, settings.client_id)),
        f"{settings.url}/oauth/authorize",
        f"{settings.url}/oauth/token",
        settings.client_id,
        secret,
        scope="doors",
    )

    async def redeem(code: str, verifier: str, back: str) -> Held:
        held = await server.redeem(code, verifier, back)
        client = DoorsClient(settings, _always(held))
        try:
            return {**held, "account": (await client.me())["account"]}
        finally:
            await client.aclose()

    def acting(fresh: Fresh) -> Vendor:
        return _vendor(settings, fresh)

    return OAuth(server.page, redeem, server.renew, acting)


def _always(held: Held) -> Callable[[str], Awaitable[Held]]:
    async def fresh(spent: str) -> Held:
        if spent:
            raise BadCredentials(TITLE, "the token is not right")
        return held

    return fresh


ENTRY = VendorEntry(
    name="doors",
    title=TITLE,
    operations=(TurnLocks,),
    connect=connect,
    roles=frozenset({"Keeper"}),
    settings=DoorsSettings,
    stand_in="acme_doors.stand_in:DoorsStandIn",
)
