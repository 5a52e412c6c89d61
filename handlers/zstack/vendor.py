"""ZStack Cloud, as it registers itself: its operation, its roles, and how it is connected."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from bot.domain.operations import Vendor, VendorEntry
from handlers.zstack.probes import probes
from handlers.zstack.tickets import MAY_FIRE, ChangeTicketStatus
from handlers.zstack.watches import TicketWatcher
from integrations.addresses import is_loopback
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
    url = urlsplit(settings.url)
    on_the_way = url.scheme == "http" and not is_loopback(url.hostname or "")
    warning = "ZSTACK_URL is http://, so its session can be read on the way; use a TLS proxy"

    def personal(secret: Mapping[str, str]) -> Vendor:
        own = {
            "account": secret["username"],
            "password": SecretStr(secret["password"]),
            "access_key_id": "",
            "login": secret.get("login") or settings.login,
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
        warnings=(warning,) if on_the_way else (),
        secrets=[text for each in held if (text := each.get_secret_value())],
        watchers=(TicketWatcher(client),),
        credentials={"username": "Name", "password": "Password", "login": "Kind of account"},
        credential_choices={"login": _kinds(settings)},
        personal=personal,
        probes=probes(client, settings),
        account_of=lambda secret: secret["username"],
    )


def _kinds(settings: ZstackSettings) -> Mapping[str, str]:
    """What one can sign in as, the shared account's kind first: owners are virtual ids (C.2)."""
    known = {"account": "Account", "virtual-id": "Virtual ID"}
    return {settings.login: known.pop(settings.login), **known}


ENTRY = VendorEntry(
    name="zstack",
    title="ZStack Cloud",
    operations=(ChangeTicketStatus,),
    connect=connect,
    roles=ROLES,
    watchers=(TicketWatcher,),
    settings=ZstackSettings,
    stand_in="deploy.sandbox.vendors.zstack:ZstackStandIn",
)
