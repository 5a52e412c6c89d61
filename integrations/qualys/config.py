"""Qualys settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from integrations.http import is_loopback


class QualysSettings(BaseSettings):
    """`QUALYS_URL`, `QUALYS_USERNAME`, `QUALYS_PASSWORD` and `QUALYS_EXCEPTION_API`.

    Raises `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="QUALYS_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
        title="QUALYS_* settings",
    )

    url: str
    username: str
    password: SecretStr
    exception_api: Literal["2.0", "3.0"] = "2.0"

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL like https://qualysapi.qualys.com")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("must be https:// (http:// is taken on loopback only)")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("must hold neither a login nor a query")
        return value.strip().rstrip("/")

    @field_validator("username")
    @classmethod
    def _named(cls, value: str) -> str:
        # A colon would end the login early in the Basic header (RFC 7617, section 2).
        if not value.strip() or ":" in value:
            raise ValueError("must be a login without a colon")
        return value.strip()

    @field_validator("password")
    @classmethod
    def _set(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("must not be empty")
        return value


class _Switch(BaseSettings):
    """Only whether the vendor is switched on."""

    model_config = SettingsConfigDict(
        env_prefix="QUALYS_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
    )

    url: str = ""


def load_settings() -> QualysSettings | None:
    """The settings, or None where `QUALYS_URL` is not set: a vendor is switched on by its URL."""
    return QualysSettings() if _Switch().url.strip() else None
