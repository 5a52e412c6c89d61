"""The deployment files say what the code needs, as far as that shows without an engine."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import yaml

from bot.bootstrap import entries
from bot.settings import Settings
from bot.slack.link.manifest import EVENTS, SCOPES, manifest
from integrations.ccs.config import CcsSettings
from integrations.qualys.config import QualysSettings
from integrations.xpanse.config import XpanseSettings
from integrations.zstack.config import ZstackSettings

ROOT = Path(__file__).parents[2]

# Source: Slack's method pages, "Required scopes" for a bot token.
NEEDS = {
    "auth_test": set(),
    "apps_connections_open": set(),
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_delete": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history", "im:history"},
    "conversations_replies": {"channels:history", "groups:history", "im:history"},
    "conversations_members": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "files_upload_v2": {"files:write"},
    "usergroups_users_list": {"usergroups:read"},
    "users_info": {"users:read"},
    "users_lookupByEmail": {"users:read.email"},
    "views_open": set(),
    "views_push": set(),
    "views_update": set(),
    "views_publish": set(),
}


def called() -> set[str]:
    """Every Web API method that the bot's code calls on a client."""
    found = set()
    for path in (ROOT / "bot").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and re.fullmatch(
                r"(auth|apps|chat|conversations|files|usergroups|users|views)_\w+", node.attr
            ):
                found.add(node.attr)
    return found


def test_the_manifest_asks_for_exactly_the_scopes_that_the_code_needs() -> None:
    needed = {"commands", "app_mentions:read"}.union(*(NEEDS[each] for each in called()))
    assert needed == set(SCOPES)


def test_the_manifest_in_the_repository_is_the_generated_one() -> None:
    stored = json.loads((ROOT / "deploy/manifest.json").read_text())
    assert stored == manifest(entries(), None)


def test_the_manifest_names_every_command_and_event_that_is_listened_to() -> None:
    made = manifest(entries(), "https://amend.example")
    commands = {each["command"] for each in made["features"]["slash_commands"]}
    assert commands == {"/amend"} | {
        f"/{op.command}" for e in entries() for op in e.operations if op.command and op.slash
    }
    source = (ROOT / "bot/slack/incoming/listeners.py").read_text()
    assert all(f'"{event}"' in source for event in EVENTS)
    assert all("url" in each for each in made["features"]["slash_commands"])


def test_the_image_is_slim_not_root_and_checks_its_health() -> None:
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert lines[-1] == 'CMD ["amend", "run"]'
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


def test_compose_keeps_secrets_out_and_waits_for_a_healthy_database() -> None:
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    amend = compose["services"]["amend"]
    assert amend["depends_on"]["database"]["condition"] == "service_healthy"
    assert amend["read_only"] is True
    assert "${POSTGRES_PASSWORD:?" in amend["environment"]["DATABASE_URL"]
    assert "healthcheck" in compose["services"]["database"]


def test_a_container_is_reached_also_with_the_settings_of_the_example() -> None:
    """`.env.example` has Amend listen on loopback, which in a container nobody reaches."""
    assert "AMEND_HOST=127.0.0.1" in (ROOT / ".env.example").read_text().splitlines()
    amend = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["amend"]
    assert amend["environment"]["AMEND_HOST"] == "0.0.0.0"  # noqa: S104 - the port is published
    assert amend["environment"]["AMEND_PORT"] == "3000"
    assert amend["ports"] == ["127.0.0.1:3000:3000"]


def test_no_file_of_secrets_goes_into_an_image() -> None:
    """Docker's patterns hold for the whole path; `**/` stands for any folder, or none."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "**/.env" in ignored


def test_the_example_names_every_setting() -> None:
    text = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))
    settings = (Settings, CcsSettings, QualysSettings, XpanseSettings, ZstackSettings)
    assert named == {
        f"{each.model_config.get('env_prefix', '')}{name}".upper()
        for each in settings
        for name in each.model_fields
    }


def test_only_one_room_imports_each_risky_library() -> None:
    for library, room in (("dbos", "bot/jobs/"), ("httpx", "integrations/http.py")):
        for folder in ("bot", "handlers", "integrations"):
            for path in (ROOT / folder).rglob("*.py"):
                names = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
                where = str(path.relative_to(ROOT))
                assert library not in names or where.startswith(room), where
