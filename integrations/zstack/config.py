"""ZStack settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from integrations.config import Shown, VendorSettings, config, load
from integrations.zstack.wallclock import AUTO


class ZstackSettings(VendorSettings):
    """`ZSTACK_URL`, and an account with its password or an access key.

    `http://` is taken here alone: ZStack's API has no TLS of its own (facts C.8). `time_zone` is the
    server's, for access keys. Raises `pydantic.ValidationError`; every message of it names the
    variable.
    """

    model_config = config("ZSTACK_")
    example: ClassVar[str] = "https://zstack.example:8443"
    plain_http: ClassVar[bool] = True

    account: str = ""
    password: SecretStr = SecretStr("")
    login: Literal["account", "virtual-id"] = "account"
    access_key_id: Annotated[str, Shown] = ""
    access_key_secret: Annotated[SecretStr, Shown] = SecretStr("")
    action_key: Literal["changeticketstatus", "changeTicketStatus"] = "changeticketstatus"
    time_zone: str = AUTO
    edits_per_second: int = Field(default=10, ge=0, le=1000)

    @field_validator("url")
    @classmethod
    def _root(cls, value: str) -> str:
        """Without the path that the console's address ends with."""
        return value.removesuffix("/zstack")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        """`auto`, or a name that the time zone database knows."""
        found = value.strip() or AUTO
        if found.lower() == AUTO:
            return AUTO
        try:
            ZoneInfo(found)
        except (LookupError, ValueError, OSError):
            raise ValueError("must be `auto` or an IANA name such as Asia/Shanghai") from None
        return found

    @model_validator(mode="after")
    def _who(self) -> Self:
        by_key = self.access_key_id and self.access_key_secret.get_secret_value()
        by_password = self.account and self.password.get_secret_value()
        if not by_key and not by_password:
            raise ValueError("ZSTACK_ACCOUNT and ZSTACK_PASSWORD are not set, nor is an access key")
        return self

    @property
    def by_key(self) -> bool:
        """True where calls are signed with an access key instead of a session."""
        return bool(self.access_key_id and self.access_key_secret.get_secret_value())


def load_settings() -> ZstackSettings | None:
    """The settings, or None where `ZSTACK_URL` is not set: a vendor is switched on by its URL."""
    return load(ZstackSettings)
