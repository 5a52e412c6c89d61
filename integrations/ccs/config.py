"""CCS settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from integrations.config import Name, Secret, VendorSettings, config, load


class CcsSettings(VendorSettings):
    """`CCS_URL`, `CCS_USERNAME`, `CCS_PASSWORD`, how they go over the wire, and TLS.

    The document contradicts itself on some details of the wire (vendors/ccs_xpanse_zstack.md A.1);
    each is a setting whose default is what the document's samples send. Raises
    `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = config("CCS_")
    example: ClassVar[str] = "https://ccs.example:12431"
    default_port: ClassVar[int | None] = 12431  # document, "Base URL"

    username: Name
    password: Secret
    password_encoding: Literal["plain", "base64"] = "plain"  # noqa: S105 - no secret
    verify_tls: bool = True
    send_priority: Literal["when-set", "always"] = "when-set"
    state_type: Literal["string", "number"] = "string"
    description_key: Literal["ticketDescription", "TicketDescription"] = "ticketDescription"
    edits_per_second: int = Field(default=400, ge=0, le=1000)

    @property
    def verify(self) -> bool | str:
        return super().verify if self.verify_tls else False


def load_settings() -> CcsSettings | None:
    """The settings, or None where `CCS_URL` is not set: a vendor is switched on by its URL."""
    return load(CcsSettings)
