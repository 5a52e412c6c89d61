"""ZStack settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ZstackSettings(BaseSettings):
    """`ZSTACK_URL`, and an account with its password or an access key.

    `http://` is taken here alone: ZStack's API has no TLS of its own (facts C.8). Raises
    `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="ZSTACK_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
        title="ZSTACK_* settings",
    )

    url: str
    account: str = ""
    password: SecretStr = SecretStr("")
    login: Literal["account", "virtual-id"] = "account"
    access_key_id: str = ""
    access_key_secret: SecretStr = SecretStr("")
    action_key: Literal["changeticketstatus", "changeTicketStatus"] = "changeticketstatus"
    edits_per_second: int = Field(default=10, ge=0, le=1000)

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL like https://zstack.example:8443")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("must hold neither a login nor a query")
        return value.strip().rstrip("/").removesuffix("/zstack")

    @model_validator(mode="after")
    def _who(self) -> Self:
        by_key = self.access_key_id and self.access_key_secret.get_secret_value()
        by_password = self.account and self.password.get_secret_value()
        if not by_key and not by_password:
            raise ValueError("needs ZSTACK_ACCOUNT and ZSTACK_PASSWORD, or an access key")
        return self

    @property
    def by_key(self) -> bool:
        """True where calls are signed with an access key instead of a session."""
        return bool(self.access_key_id and self.access_key_secret.get_secret_value())


class _Switch(BaseSettings):
    """Only whether the vendor is switched on."""

    model_config = SettingsConfigDict(
        env_prefix="ZSTACK_", env_file=".env", env_file_encoding="utf-8", extra="ignore"
    )

    url: str = ""


def load_settings() -> ZstackSettings | None:
    """The settings, or None where `ZSTACK_URL` is not set: a vendor is switched on by its URL."""
    return ZstackSettings() if _Switch().url.strip() else None
