"""Symantec CCS, as it registers itself: its operation, and how it is connected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import SecretStr

from bot.domain.operations import Vendor, VendorEntry
from handlers.ccs.probes import probes
from handlers.ccs.tickets import TicketWatcher, UpdateTicket
from integrations.ccs.client import CcsClient
from integrations.ccs.config import CcsSettings, load_settings


def connect() -> Vendor | None:
    """CCS as its settings say; None where `CCS_URL` is not set.

    Raises `pydantic.ValidationError` where the account is missing or a setting malformed.
    """
    settings = load_settings()
    return None if settings is None else _vendor(settings)


def _vendor(settings: CcsSettings) -> Vendor:
    client = CcsClient(settings)
    warning = "CCS_VERIFY_TLS is off: whoever sits between Amend and CCS can read the password"

    def personal(secret: Mapping[str, str]) -> Vendor:
        own = {"username": secret["username"], "password": SecretStr(secret["password"])}
        return _vendor(settings.model_copy(update=own))

    return Vendor(
        name="ccs",
        title="Symantec CCS",
        operations=(UpdateTicket(client, settings.priority_name),),
        roles=None,
        check=client.check,
        close=client.aclose,
        account=settings.username,
        edits_per_second=settings.edits_per_second,
        warnings=() if settings.verify_tls else (warning,),
        secrets=(settings.password.get_secret_value(),),
        watchers=(TicketWatcher(client, lambda: datetime.now(UTC)),),
        credentials={"username": "User name", "password": "Password"},
        personal=personal,
        probes=probes(client, settings),
        account_of=lambda secret: secret["username"],
    )


ENTRY = VendorEntry(
    name="ccs",
    title="Symantec CCS",
    operations=(UpdateTicket,),
    connect=connect,
    watchers=(TicketWatcher,),
    settings=CcsSettings,
    stand_in="deploy.sandbox.vendors.ccs:CcsStandIn",
)
