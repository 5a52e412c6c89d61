"""Qualys, as it registers itself: its operations, its roles, and how it is connected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from bot.domain.operations import Vendor, VendorEntry, VendorUser
from handlers.qualys.decisions import DecideException
from handlers.qualys.exceptions import RequestException
from handlers.qualys.lists import may_own
from handlers.qualys.probes import probes
from handlers.qualys.register import ExceptionRegister
from handlers.qualys.renewals import RenewException
from handlers.qualys.tickets import EditTickets
from handlers.qualys.watches import ExceptionWatcher, TicketWatcher
from integrations.qualys.client import QualysClient
from integrations.qualys.config import QualysSettings, load_settings
from integrations.qualys.exceptions import ExceptionClient

# vendors/qualys.md 10.1.
ROLES = frozenset(
    {
        "Manager",
        "Unit Manager",
        "Auditor",
        "Scanner",
        "Reader",
        "Remediation User",
        "KnowledgeBase Only",
        "User Administrator",
        "Contact",
    }
)


def connect() -> Vendor | None:
    """Qualys as its settings say; None where `QUALYS_URL` is not set.

    Raises `pydantic.ValidationError` where the account is missing or a setting malformed.
    """
    settings = load_settings()
    return None if settings is None else _vendor(settings)


def _vendor(settings: QualysSettings) -> Vendor:
    client = QualysClient(settings)
    exceptions = ExceptionClient(client, settings.url, settings.exception_api)

    def personal(secret: Mapping[str, str]) -> Vendor:
        password = SecretStr(secret["password"])
        own = {"username": secret["username"].strip(), "password": password}
        return _vendor(settings.model_copy(update=own))

    async def users() -> Sequence[VendorUser]:
        listed = [each for each in await client.users() if may_own(each)]
        return [
            VendorUser(each.login, each.name, each.email, each.role, each.asset_groups)
            for each in listed
        ]

    return Vendor(
        name="qualys",
        title="Qualys",
        operations=(
            EditTickets(client),
            RequestException(client, exceptions),
            DecideException(client, exceptions),
            RenewException(client, exceptions),
        ),
        roles=ROLES,
        check=client.check,
        parts={"exceptions": exceptions.check},
        close=client.aclose,
        account=settings.username,
        secrets=(settings.password.get_secret_value(),),
        watchers=(TicketWatcher(client), ExceptionWatcher(exceptions)),
        registers=(ExceptionRegister(exceptions),),
        users=users,
        credentials={"username": "Login", "password": "Password"},
        personal=personal,
        probes=probes(client, exceptions, settings),
        account_of=lambda secret: secret["username"].strip(),
    )


ENTRY = VendorEntry(
    name="qualys",
    title="Qualys",
    operations=(EditTickets, RequestException, DecideException, RenewException),
    watchers=(TicketWatcher, ExceptionWatcher),
    registers=(ExceptionRegister,),
    connect=connect,
    roles=ROLES,
    settings=QualysSettings,
    stand_in="deploy.sandbox.vendors.qualys:QualysStandIn",
)
