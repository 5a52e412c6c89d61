"""Cortex Xpanse settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from integrations.config import Name, VendorSettings, config, load


class XpanseSettings(VendorSettings):
    """`XPANSE_URL`, the API key with its id, and how the key is presented.

    `unassign` is what goes out to unassign or to clear a severity: the document allows both. Raises
    `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = config("XPANSE_")
    example: ClassVar[str] = "https://api-example.crtx.us.paloaltonetworks.com"

    api_key: SecretStr
    api_key_id: Name
    auth: Literal["standard", "advanced"] = "standard"
    unassign: Literal["empty", "none"] = "empty"
    edits_per_second: int = Field(default=10, ge=0, le=1000)

    @field_validator("api_key")
    @classmethod
    def _set(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if not key or not key.isascii() or any(each.isspace() for each in key):
            raise ValueError("must be the key as it was shown, in one piece")
        return value


def load_settings() -> XpanseSettings | None:
    """The settings, or None where `XPANSE_URL` is not set: a vendor is switched on by its URL."""
    return load(XpanseSettings)
