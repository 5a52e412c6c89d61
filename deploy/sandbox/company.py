"""The company that lives in the sandbox: its people, channels and visibly fake credentials."""

from __future__ import annotations

from dataclasses import dataclass, field

TEAM_ID = "T0SANDBOX"
TEAM_NAME = "Northwind Security"
TEAM_DOMAIN = "northwind-security"
OTHER_TEAM_ID = "T0OTHER"

APP_ID = "A0AMEND"
BOT_USER = "U0AMEND"
BOT_ID = "B0AMEND"
BOT_NAME = "amend"

BOT_TOKEN = "xoxb-sandbox-not-a-secret"  # noqa: S105 - fake on purpose
APP_TOKEN = "xapp-sandbox-not-a-secret"  # noqa: S105 - fake on purpose
SIGNING_SECRET = "sandbox-signing-secret"  # noqa: S105 - fake on purpose


@dataclass(frozen=True)
class Person:
    """Somebody with an account that the workspace can see."""

    id: str
    name: str
    real_name: str
    title: str
    email: str
    timezone: str = "Europe/Stockholm"
    is_guest: bool = False
    is_stranger: bool = False
    is_deactivated: bool = False
    team_id: str = TEAM_ID
    color: str = "4a154b"


@dataclass
class Channel:
    """A conversation; `with_user` is set for a direct message with the bot."""

    id: str
    name: str
    members: list[str] = field(default_factory=list)
    topic: str = ""
    is_shared: bool = False
    with_user: str = ""


@dataclass(frozen=True)
class UserGroup:
    """A group of people with a handle of its own."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A slash command that the app has registered."""

    command: str
    description: str = ""
    usage_hint: str = ""


@dataclass(frozen=True)
class Shortcut:
    """A global or a message shortcut that the app has registered."""

    callback_id: str
    name: str
    type: str = "global"


PEOPLE = (
    Person(
        "U0MARA",
        "mara",
        "Mara Lindqvist",
        "Qualys Manager",
        "mara.lindqvist@northwind.example",
        color="7d3c98",
    ),
    Person(
        "U0UMAR",
        "umar",
        "Umar Haddad",
        "Unit Manager",
        "umar.haddad@northwind.example",
        color="1f7a5c",
    ),
    Person(
        "U0SAMI",
        "sami",
        "Sami Ito",
        "Scanner",
        "sami.ito@northwind.example",
        timezone="Asia/Tokyo",
        color="8f5a08",
    ),
    Person(
        "U0ONCA",
        "onca",
        "Onca Reyes",
        "On-call approver, Manager",
        "onca.reyes@northwind.example",
        timezone="America/New_York",
        color="2e6da4",
    ),
    Person(
        "U0GUST",
        "gus",
        "Gus Tanner",
        "Contractor (guest)",
        "gus.tanner@contractor.example",
        is_guest=True,
        color="5f6b6c",
    ),
    Person(
        "U0OUTS",
        "ottilie",
        "Ottilie Brandt",
        "Partner company",
        "ottilie.brandt@partner.example",
        timezone="Europe/Berlin",
        is_stranger=True,
        team_id=OTHER_TEAM_ID,
        color="a93226",
    ),
)

STAFF = ("U0MARA", "U0UMAR", "U0SAMI", "U0ONCA")
USER_GROUPS = (UserGroup("S0ONCALL", "oncall", "On call", ("U0ONCA",)),)


def channels() -> list[Channel]:
    """Fresh channels, so that each workspace may change its own."""
    found = [
        Channel(
            "C0OPS",
            "vuln-ops",
            [*STAFF, "U0GUST", "U0OUTS", BOT_USER],
            topic="Fixing what the scanners find",
            is_shared=True,
        ),
        Channel("C0APPROVALS", "approvals", [*STAFF, BOT_USER], topic="Who may change what"),
        # The bot is left out of this one on purpose: not_in_channel has to happen somewhere.
        Channel("C0GENERAL", "general", [*STAFF, "U0GUST"], topic="Everybody"),
    ]
    found += [
        Channel(f"D0{person.id[2:]}", "directmessage", [person.id, BOT_USER], with_user=person.id)
        for person in PEOPLE
    ]
    return found
