"""What the settings of every vendor share: its URL, its private CA, and that its URL switches it on."""

from __future__ import annotations

import ssl
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from integrations.addresses import in_one_piece, server_address


def config(prefix: str) -> SettingsConfigDict:
    """Read from the environment and then from `.env`, every name with `prefix` (such as `CCS_`)."""
    return SettingsConfigDict(
        env_prefix=prefix,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
        title=f"{prefix}* settings",
    )


S = TypeVar("S", bound="VendorSettings")
V = TypeVar("V", str, SecretStr)


def _named(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _set(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("must not be empty")
    return value


def _shown(value: V) -> V:
    if not in_one_piece(value.get_secret_value() if isinstance(value, SecretStr) else value):
        raise ValueError("must be as it was shown, in one piece")
    return value


Name = Annotated[str, AfterValidator(_named)]
Secret = Annotated[SecretStr, AfterValidator(_set)]


def utf8(value: object) -> object:
    """For every variable: what is no text can be sent to nobody, and fails where nobody looks for it."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("must be text in UTF-8") from None
    return value


Shown = AfterValidator(_shown)  # for what goes out in a header as it is, if it is there


class VendorSettings(BaseSettings):
    """`…_URL` and `…_CA_BUNDLE`; a vendor adds its account and says how its URL looks.

    Raises `pydantic.ValidationError`; every message of it names the variable.
    """

    example: ClassVar[str] = "https://vendor.example"
    plain_http: ClassVar[bool] = False  # taken elsewhere than on loopback, too
    default_port: ClassVar[int | None] = None  # of https://, where the vendor's is not 443

    url: str
    ca_bundle: str = ""

    _text = field_validator("*", mode="before")(utf8)

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str) -> str:
        found = value.strip().rstrip("/")
        parts = server_address(found, cls.example, plain_http=cls.plain_http)
        if cls.default_port and parts.scheme == "https" and parts.port is None:
            found = parts._replace(netloc=f"{parts.netloc}:{cls.default_port}").geturl()
        return found.rstrip("/")

    @field_validator("ca_bundle")
    @classmethod
    def _pem(cls, value: str) -> str:
        if value and (why := unreadable(value)):
            message = f"must be a PEM file of certificates ({why})"
            raise ValueError(message)
        return value

    @property
    def verify(self) -> bool | str:
        """What to hold the vendor's certificate against, as `Http` takes it."""
        return self.ca_bundle or True


def unreadable(bundle: str) -> str:
    """Why a file of certificates cannot be used; "" where it can."""
    try:
        ssl.create_default_context(cafile=bundle)
    except ssl.SSLError:
        return "there is no certificate in it"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "it cannot be read"
    return ""


class _Switch(BaseSettings):
    """Only whether a vendor is switched on."""

    model_config = SettingsConfigDict(extra="ignore")

    url: str = ""


def load(settings: type[S]) -> S | None:
    """The settings, or None where the vendor's URL is not set: that is what switches it on."""
    prefix = settings.model_config.get("env_prefix", "")
    switch = _Switch(_env_prefix=prefix, _env_file=".env")
    return settings() if switch.url.strip() else None
