"""Qualys settings, from the environment and then from `.env`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from integrations.config import Secret, VendorSettings, config, load


class QualysSettings(VendorSettings):
    """`QUALYS_URL`, `QUALYS_USERNAME`, `QUALYS_PASSWORD` and `QUALYS_EXCEPTION_API`.

    Raises `pydantic.ValidationError`; every message of it names the variable.
    """

    model_config = config("QUALYS_")
    example: ClassVar[str] = "https://qualysapi.qualys.com"

    username: str
    password: Secret
    exception_api: Literal["2.0", "3.0"] = "2.0"

    @field_validator("username")
    @classmethod
    def _named(cls, value: str) -> str:
        # A colon would end the login early in the Basic header (RFC 7617, section 2).
        if not value.strip() or ":" in value:
            raise ValueError("must be a login without a colon")
        return value.strip()


def load_settings() -> QualysSettings | None:
    """The settings, or None where `QUALYS_URL` is not set: a vendor is switched on by its URL."""
    return load(QualysSettings)
