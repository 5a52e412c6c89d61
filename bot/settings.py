"""Amend's own settings, from the environment and then from `.env`; each vendor reads its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot import databases
from bot.domain.errors import AmendError
from bot.domain.people import SLACK_CHANNEL, SLACK_USER
from bot.proof.notes import BadKey, Signer
from integrations.addresses import (
    is_exemption,
    is_host,
    server_address,
    web_address,
)
from integrations.config import Shown, unreadable, utf8

SLACK_API = "https://slack.com/api/"
LONGEST = 31_536_000  # seconds between two rounds: a year

TO_BEGIN = """\
SLACK_BOT_TOKEN is not set, nor is anything else of Slack. To begin,
  without any account: `amend sandbox`
  in your workspace: `amend manifest` for the Slack app, its tokens into .env, then `amend doctor`"""


class BadSettings(AmendError):
    """A setting is missing or malformed; the message names the variable."""


class Settings(BaseSettings):
    """What CONTRACT section 3 names, less the vendors' own settings."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", hide_input_in_errors=True
    )

    slack_bot_token: Annotated[SecretStr, Shown] = SecretStr("")
    slack_signing_secret: Annotated[SecretStr, Shown] = SecretStr("")
    slack_app_token: Annotated[SecretStr, Shown] = SecretStr("")
    slack_api_url: str = SLACK_API

    amend_host: str = "127.0.0.1"
    amend_port: int = Field(default=3000, ge=0, le=65535)
    amend_public_url: str = ""
    database_url: str = "sqlite:///amend.db"
    amend_secret_key: SecretStr = SecretStr("")
    amend_admins: str = ""
    amend_approvals_channel: str = ""
    amend_policy: str = ""
    amend_poll_seconds: int = Field(default=60, ge=1, le=LONGEST)
    amend_lost_answer_seconds: int = Field(default=60, ge=1, le=3600)
    amend_attribution: Literal["on", "off"] = "on"
    amend_audit_key: SecretStr = SecretStr("")
    amend_audit_channel: str = ""
    amend_audit_every: int = Field(default=3600, ge=1, le=LONGEST)
    amend_retention_days: int = Field(default=400, ge=1, le=36_500)
    amend_siem_url: str = ""
    amend_siem_token: Annotated[SecretStr, Shown] = SecretStr("")
    amend_mcp: Literal["on", "off"] = "off"
    amend_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    amend_log_format: Literal["console", "json"] = "console"
    https_proxy: str = ""
    no_proxy: str = ""
    ssl_cert_file: str = ""

    _text = field_validator("*", mode="before")(utf8)

    @field_validator("slack_api_url")
    @classmethod
    def _slack_url(cls, value: str) -> str:
        server_address(value, SLACK_API)
        return value.rstrip("/") + "/"

    @field_validator("slack_app_token")
    @classmethod
    def _app_token(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith("xapp-"):
            raise ValueError("must be an app-level token, which begins with xapp-")
        return value

    @field_validator("amend_host")
    @classmethod
    def _listens(cls, value: str) -> str:
        if not is_host(value):
            raise ValueError("must be an address or the name of a host")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        return databases.checked(value)

    @field_validator("amend_admins")
    @classmethod
    def _people(cls, value: str) -> str:
        if not all(re.fullmatch(SLACK_USER, each) for each in several(value)):
            raise ValueError("must be Slack user ids such as U0MARA, comma separated")
        return value

    @field_validator("amend_approvals_channel", "amend_audit_channel")
    @classmethod
    def _channel(cls, value: str) -> str:
        shape, wanted = SLACK_CHANNEL
        if value.strip() and not re.fullmatch(shape, value.strip()):
            message = f"must be {wanted}"
            raise ValueError(message)
        return value.strip()

    @field_validator("amend_secret_key")
    @classmethod
    def _fernet(cls, value: SecretStr) -> SecretStr:
        for key in value.get_secret_value().split(",") if value.get_secret_value() else ():
            try:
                Fernet(key.strip())
            except ValueError:
                raise ValueError("must hold Fernet keys; `amend secret` prints one") from None
        return value

    @field_validator("amend_audit_key")
    @classmethod
    def _signing(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            try:
                Signer.parse(value.get_secret_value())
            except BadKey as error:
                message = f"{error}; `amend audit key` prints one"
                raise ValueError(message) from None
        return value

    @field_validator("amend_public_url")
    @classmethod
    def _browsers(cls, value: str) -> str:
        if value:
            server_address(value, "https://amend.example")
        return value.rstrip("/")

    @field_validator("amend_siem_url")
    @classmethod
    def _siem(cls, value: str) -> str:
        if value:
            server_address(value, "https://siem.example/collect", query=True)
        return value

    @field_validator("https_proxy")
    @classmethod
    def _proxy(cls, value: str) -> str:
        found = value.strip()
        parts = web_address(found)
        if found and (parts is None or parts.path.strip("/") or parts.query or parts.fragment):
            raise ValueError("must be a URL like http://proxy.example:3128")
        return found

    @field_validator("no_proxy")
    @classmethod
    def _directly(cls, value: str) -> str:
        if not all(map(is_exemption, several(value))):
            raise ValueError("must be hosts such as db.example,.internal,10.0.0.0/8")
        return value

    @field_validator("ssl_cert_file")
    @classmethod
    def _certificates(cls, value: str) -> str:
        if value and (why := unreadable(value)):
            message = f"must be a PEM file of certificates ({why})"
            raise ValueError(message)
        return value

    @field_validator("amend_log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def admins(self) -> frozenset[str]:
        return frozenset(several(self.amend_admins))

    @property
    def audit_signer(self) -> Signer | None:
        """Who signs the checkpoints; None where nobody does."""
        key = self.amend_audit_key.get_secret_value()
        return Signer.parse(key) if key else None

    @property
    def socket_mode(self) -> bool:
        return bool(self.slack_app_token.get_secret_value())

    @property
    def secrets(self) -> Sequence[str]:
        """Every configured secret, so that logs and errors can be scrubbed of them."""
        held = (
            self.slack_bot_token,
            self.slack_signing_secret,
            self.slack_app_token,
            self.amend_audit_key,
            self.amend_siem_token,
        )
        keys = self.amend_secret_key.get_secret_value().split(",")
        proxy = urlsplit(self.https_proxy).password or ""
        spelt = [proxy, unquote(proxy), *databases.passwords(self.database_url)]
        return [each for each in (*(one.get_secret_value() for one in held), *keys, *spelt) if each]


def several(text: str) -> list[str]:
    """The parts of a list that is written with commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


def _export(settings: Settings) -> None:
    """The HTTP libraries read these by themselves, and from the environment alone."""
    for name in ("https_proxy", "no_proxy", "ssl_cert_file"):
        value = getattr(settings, name)
        if value and not (os.environ.get(name) or os.environ.get(name.upper())):
            os.environ[name.upper()] = value


@contextmanager
def readable_env() -> Iterator[None]:
    """Raises `BadSettings` where reading `.env` fails; its own words may hold what stands in it."""
    try:
        yield
    except (OSError, UnicodeDecodeError):
        raise BadSettings(".env cannot be read: it must be a file of text in UTF-8.") from None


def load_settings() -> Settings:
    """Read the settings. Raises `BadSettings`, naming the first variable that is wrong."""
    try:
        with readable_env():
            found = Settings()
    except ValidationError as error:
        raise explain(error) from None
    _export(found)
    return found


def require_slack(settings: Settings) -> None:
    """Raises `BadSettings` where what the Slack link needs is missing."""
    held = (settings.slack_bot_token, settings.slack_signing_secret, settings.slack_app_token)
    if not any(each.get_secret_value() for each in held):
        raise BadSettings(TO_BEGIN)
    if not settings.slack_bot_token.get_secret_value():
        raise BadSettings("SLACK_BOT_TOKEN is not set.")
    if not settings.socket_mode and not settings.slack_signing_secret.get_secret_value():
        raise BadSettings("SLACK_SIGNING_SECRET is not set (or set SLACK_APP_TOKEN: Socket Mode).")


def explain(error: ValidationError, prefix: str = "") -> BadSettings:
    """One line for the first bad variable of a settings model with `prefix`."""
    detail = error.errors()[0]
    message = detail["msg"].removeprefix("Value error, ")
    message = "is not set" if detail["type"] == "missing" else message
    if not detail["loc"]:  # of several together: its words name them
        return BadSettings(f"{message}.")
    return BadSettings(f"{prefix}{detail['loc'][0]}".upper() + f": {message}.")
