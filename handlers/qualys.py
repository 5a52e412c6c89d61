"""Qualys, as it registers itself: its operations, its roles, and how it is connected."""

from __future__ import annotations

from bot.domain.operations import Vendor, VendorEntry
from handlers.qualys_tickets import EditTickets
from integrations.qualys.client import QualysClient
from integrations.qualys.config import load_settings

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
    if settings is None:
        return None
    client = QualysClient(settings)
    return Vendor(
        name="qualys",
        title="Qualys",
        operations=(EditTickets(client),),
        roles=ROLES,
        check=client.check,
        close=client.aclose,
        secrets=(settings.password.get_secret_value(),),
    )


ENTRY = VendorEntry(
    name="qualys",
    title="Qualys",
    operations=(EditTickets,),
    connect=connect,
    roles=ROLES,
)
