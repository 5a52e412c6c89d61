"""CCS settings, from the environment and then from `.env`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from integrations.http import is_loopback


class CcsSettings(BaseSettings):
    """`CCS_URL`, `CCS_USERNAME`, `CCS_PASSWORD`, how they go over the wire, and TLS.

    The document contradicts itself on some details of the wire (vendors/ccs_xpanse_zstack.md A.1);
    each is a setting whose default is what the document's samples send. Raises
    `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="CCS_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
        title="CCS_* settings",
    )

    url: str
    username: str
    password: SecretStr
    password_encoding: Literal["plain", "base64"] = "plain"  # noqa: S105 - no secret
    ca_bundle: str = ""
    verify_tls: bool = True
    send_priority: Literal["when-set", "always"] = "when-set"
    state_type: Literal["string", "number"] = "string"
    description_key: Literal["ticketDescription", "TicketDescription"] = "ticketDescription"
    edits_per_second: int = Field(default=400, ge=0, le=1000)

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL like https://ccs.example:12431")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("must be https:// (http:// is taken on loopback only)")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("must hold neither a login nor a query")
        return value.strip().rstrip("/")

    @field_validator("username")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        return value.strip()

    @field_validator("password")
    @classmethod
    def _set(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("must not be empty")
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value and not Path(value).is_file():
            raise ValueError("must be the path of a PEM file")
        return value


class _Switch(BaseSettings):
    """Only whether the vendor is switched on."""

    model_config = SettingsConfigDict(
        env_prefix="CCS_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
    )

    url: str = ""


def load_settings() -> CcsSettings | None:
    """The settings, or None where `CCS_URL` is not set: a vendor is switched on by its URL."""
    return CcsSettings() if _Switch().url.strip() else None
