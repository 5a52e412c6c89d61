"""Cortex Xpanse, as it registers itself: its operation, and how it is connected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from bot.domain.operations import Vendor, VendorEntry, VendorUser
from handlers.xpanse.incidents import UpdateIncident
from handlers.xpanse.probes import probes
from handlers.xpanse.watches import IncidentWatcher
from integrations.xpanse.client import XpanseClient
from integrations.xpanse.config import XpanseSettings, load_settings


def connect() -> Vendor | None:
    """Xpanse as its settings say; None where `XPANSE_URL` is not set.

    Raises `pydantic.ValidationError` where the key is missing or a setting malformed.
    """
    settings = load_settings()
    return None if settings is None else _vendor(settings)


def _vendor(settings: XpanseSettings) -> Vendor:
    client = XpanseClient(settings)

    def personal(secret: Mapping[str, str]) -> Vendor:
        key = SecretStr(secret["api_key"])
        own = {"api_key": key, "api_key_id": secret["api_key_id"].strip()}
        return _vendor(settings.model_copy(update=own))

    async def users() -> Sequence[VendorUser]:
        found = await client.users()
        return [VendorUser(each.email, each.name, each.email, each.role) for each in found]

    return Vendor(
        name="xpanse",
        title="Cortex Xpanse",
        operations=(UpdateIncident(client),),
        roles=None,
        check=client.check,
        close=client.aclose,
        account=settings.api_key_id,
        edits_per_second=settings.edits_per_second,
        secrets=(settings.api_key.get_secret_value(),),
        watchers=(IncidentWatcher(client),),
        users=users,
        credentials={"api_key_id": "API key ID", "api_key": "API key"},
        personal=personal,
        names_person=False,  # a key has an id, and nothing tells whose it is
        probes=probes(client, settings),
        account_of=lambda secret: secret["api_key_id"].strip(),
    )


ENTRY = VendorEntry(
    name="xpanse",
    title="Cortex Xpanse",
    operations=(UpdateIncident,),
    connect=connect,
    watchers=(IncidentWatcher,),
    settings=XpanseSettings,
    stand_in="deploy.sandbox.vendors.xpanse:XpanseStandIn",
)
