"""ZStack Cloud, as it registers itself: its operation, its roles, and how it is connected."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from bot.domain.operations import Vendor, VendorEntry
from handlers.zstack.tickets import MAY_FIRE, ChangeTicketStatus, TicketWatcher
from integrations.zstack.client import ZstackClient
from integrations.zstack.config import ZstackSettings, load_settings

ROLES = frozenset(MAY_FIRE)


def connect() -> Vendor | None:
    """ZStack as its settings say; None where `ZSTACK_URL` is not set.

    Raises `pydantic.ValidationError` where the account is missing or a setting malformed.
    """
    settings = load_settings()
    return None if settings is None else _vendor(settings)


def _vendor(settings: ZstackSettings) -> Vendor:
    client = ZstackClient(settings)
    plain = urlsplit(settings.url).scheme == "http"
    warning = "ZSTACK_URL is http://, so its session can be read on the way; use a TLS proxy"

    def personal(secret: Mapping[str, str]) -> Vendor:
        own = {
            "account": secret["username"],
            "password": SecretStr(secret["password"]),
            "access_key_id": "",
        }
        return _vendor(settings.model_copy(update=own))

    held = (settings.password, settings.access_key_secret)
    return Vendor(
        name="zstack",
        title="ZStack Cloud",
        operations=(ChangeTicketStatus(client),),
        roles=ROLES,
        check=client.check,
        close=client.aclose,
        account=settings.access_key_id or settings.account,
        edits_per_second=settings.edits_per_second,
        warnings=(warning,) if plain else (),
        secrets=[text for each in held if (text := each.get_secret_value())],
        watchers=(TicketWatcher(client),),
        credentials={"username": "Account", "password": "Password"},
        personal=personal,
        account_of=lambda secret: secret["username"],
    )


ENTRY = VendorEntry(
    name="zstack",
    title="ZStack Cloud",
    operations=(ChangeTicketStatus,),
    connect=connect,
    roles=ROLES,
    watchers=(TicketWatcher,),
)
