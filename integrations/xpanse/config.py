"""Cortex Xpanse settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from integrations.http import is_loopback


class XpanseSettings(BaseSettings):
    """`XPANSE_URL`, the API key with its id, and how the key is presented.

    `unassign` is what goes out to unassign or to clear a severity: the document allows both. Raises
    `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="XPANSE_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
        title="XPANSE_* settings",
    )

    url: str
    api_key: SecretStr
    api_key_id: str
    auth: Literal["standard", "advanced"] = "standard"
    unassign: Literal["empty", "none"] = "empty"
    edits_per_second: int = Field(default=10, ge=0, le=1000)

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL like https://api-example.crtx.us.paloaltonetworks.com")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("must be https:// (http:// is taken on loopback only)")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("must hold neither a login nor a query")
        return value.strip().rstrip("/")

    @field_validator("api_key_id")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        return value.strip()

    @field_validator("api_key")
    @classmethod
    def _set(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if not key or not key.isascii() or any(each.isspace() for each in key):
            raise ValueError("must be the key as it was shown, in one piece")
        return value


class _Switch(BaseSettings):
    """Only whether the vendor is switched on."""

    model_config = SettingsConfigDict(
        env_prefix="XPANSE_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
    )

    url: str = ""


def load_settings() -> XpanseSettings | None:
    """The settings, or None where `XPANSE_URL` is not set: a vendor is switched on by its URL."""
    return XpanseSettings() if _Switch().url.strip() else None
