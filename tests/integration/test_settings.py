"""Every setting, malformed: the start ends with one line that names it, and with no secret in it.

CONTRACT section 3 says what each takes. A setting that is added is in one of both tables, or a test
here fails.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bot import bootstrap, cli, tracing
from bot.domain.operations import Registry
from bot.domain.policy import Policy
from bot.settings import BadSettings, Settings
from docs.make.settings import GROUPS, names
from tests.integration.conftest import Amend

GOOD = {
    "SLACK_BOT_TOKEN": "xoxb-not-a-secret",
    "SLACK_SIGNING_SECRET": "not-a-secret",
    "QUALYS_URL": "https://qualysapi.example",
    "QUALYS_USERNAME": "amend",
    "QUALYS_PASSWORD": "not-a-secret",
    "CCS_URL": "https://ccs.example",
    "CCS_USERNAME": "domain\\amend",
    "CCS_PASSWORD": "not-a-secret",
    "XPANSE_URL": "https://api.example",
    "XPANSE_API_KEY": "not-a-secret",
    "XPANSE_API_KEY_ID": "7",
    "ZSTACK_URL": "http://zstack.example:8080",
    "ZSTACK_ACCOUNT": "amend",
    "ZSTACK_PASSWORD": "not-a-secret",
}
SECRET = "hunter2"
LONG = "9" * 5000

NO_URL = (
    "ftp://h.example",
    "h.example",
    "https://",
    "https://h:abc/",
    "https://h:99999/",
    "https://h:0/",
    "https://[::1/",
    "https://[::1]h/",
    "https://a..example/",
    "https://a b.example/",
    "https://h.example/a b",
    "https://10.0.0.300/",
    "https://℀.example/",
    f"https://me:{SECRET}@h.example:abc/",
    f"https://me:{SECRET}/@h.example/",
    f"https://me:{SECRET}[@h.example/",
)
NO_SERVER = (
    *NO_URL,
    "http://h.example",
    f"https://me:{SECRET}@h.example",
    f"https://:{SECRET}@h.example",
    "https://h.example/#a",
)
NO_CHANNEL = ("#approvals", "approvals", "<#C0OPS>", "C0OPS,C0AUDIT", "c0ops", "U0MARA")
NO_PEM = ("gone.pem", ".", "no.pem")
NO_WORD = ("two words", "schlüssel", "a\nb", "token\n")
NO_NUMBER = ("", "many", "-1", "1.5", LONG)
NO_SWITCH = ("", "maybe")

MALFORMED: dict[str, tuple[str, ...]] = {
    "SLACK_BOT_TOKEN": NO_WORD,
    "SLACK_SIGNING_SECRET": NO_WORD,
    "SLACK_APP_TOKEN": (*NO_WORD, "nope", "xoxb-not-a-secret", "XAPP-not-a-secret", "a-xapp-1"),
    "SLACK_API_URL": (*NO_SERVER, "https://h.example/?a=b", ""),
    "AMEND_HOST": ("", "a b", "a..b", "http://h", "127.0.0.1:3000", "10.0.0.300", "x" * 64),
    "AMEND_PORT": (*NO_NUMBER, "65536"),
    "AMEND_PUBLIC_URL": (*NO_SERVER, "https://h.example/?a=b"),
    "DATABASE_URL": (
        "",
        "amend.db",
        "mysql://h/x",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///amend.db?mode=ro",
        "sqlite:////",
        "sqlite:////nonexistent/x.db",
        "sqlite:///no.pem/x.db",
        "postgresql://h:abc/x",
        "postgresql://h:99999/x",
        "postgresql://h:/x",
        "postgresql://[::1/x",
        "postgresql://a b/x",
        "postgresql://h/x?no_such_option=1",
        "postgresql://h/x?host=a:abc&host=b:1",
        f"postgresql://me:{SECRET}/@h:abc/x",
        f"postgresql://me:{SECRET}@{SECRET}@h/x",
        f"postgresql://h:{SECRET}/x",
    ),
    "AMEND_SECRET_KEY": (SECRET, f"{SECRET},{SECRET}", "ü"),
    "AMEND_ADMINS": (
        "mara@example.com",
        "@mara",
        "mara",
        "U0MARA;U0LEAD",
        "U0MARA U0LEAD",
        "B0BOT",
    ),
    "AMEND_APPROVALS_CHANNEL": NO_CHANNEL,
    "AMEND_POLICY": ("gone.toml", ".", "latin.toml", "broken.toml", "wrong.toml"),
    "AMEND_POLL_SECONDS": (*NO_NUMBER, "0", "9" * 400),
    "AMEND_LOST_ANSWER_SECONDS": (*NO_NUMBER, "0"),
    "AMEND_ATTRIBUTION": NO_SWITCH,
    "AMEND_AUDIT_KEY": (SECRET, f"PRIVATE+KEY+amend+00000000+{SECRET}", "ü"),
    "AMEND_AUDIT_CHANNEL": NO_CHANNEL,
    "AMEND_AUDIT_EVERY": (*NO_NUMBER, "0", "9" * 400),
    "AMEND_RETENTION_DAYS": (*NO_NUMBER, "0"),
    "AMEND_SIEM_URL": NO_SERVER,
    "AMEND_SIEM_TOKEN": NO_WORD,
    "AMEND_MCP": NO_SWITCH,
    "AMEND_LOG_LEVEL": ("", "loud"),
    "AMEND_LOG_FORMAT": ("", "xml"),
    "HTTPS_PROXY": (*NO_URL, f"http://me:12/{SECRET}@proxy:3128", f"http://me:1#{SECRET}@proxy"),
    "NO_PROXY": ("[::1", "http://h:abc", "bücher.example", "a b", "a.example:99999"),
    "SSL_CERT_FILE": NO_PEM,
    "QUALYS_URL": (*NO_SERVER, "https://h.example/?a=b"),
    "QUALYS_CA_BUNDLE": NO_PEM,
    "QUALYS_USERNAME": ("", " ", "a:b"),
    "QUALYS_PASSWORD": ("",),
    "QUALYS_EXCEPTION_API": ("", "4.0"),
    "CCS_URL": (*NO_SERVER, "https://h.example/?a=b"),
    "CCS_CA_BUNDLE": NO_PEM,
    "CCS_USERNAME": ("", " "),
    "CCS_PASSWORD": ("",),
    "CCS_PASSWORD_ENCODING": ("", "rot13"),
    "CCS_VERIFY_TLS": NO_SWITCH,
    "CCS_SEND_PRIORITY": ("", "never"),
    "CCS_STATE_TYPE": ("", "colour"),
    "CCS_PRIORITY_TYPE": ("", "colour"),
    "CCS_PRIORITIES": ("Low", "1=Low;2=High", "1=", "one=Low"),
    "CCS_DESCRIPTION_KEY": ("", "description"),
    "CCS_EDITS_PER_SECOND": (*NO_NUMBER, "1001"),
    "XPANSE_URL": (*NO_SERVER, "https://h.example/?a=b"),
    "XPANSE_CA_BUNDLE": NO_PEM,
    "XPANSE_API_KEY": ("", *NO_WORD),
    "XPANSE_API_KEY_ID": ("", "two words", "schlüssel", "a\nb"),
    "XPANSE_AUTH": ("", "basic"),
    "XPANSE_UNASSIGN": ("", "nobody"),
    "XPANSE_STATUSES": ("two words", "neu_ü", "x" * 101),
    "XPANSE_EDITS_PER_SECOND": (*NO_NUMBER, "1001"),
    "ZSTACK_URL": (*NO_URL, f"https://me:{SECRET}@h.example", "https://h.example/?a=b"),
    "ZSTACK_CA_BUNDLE": NO_PEM,
    "ZSTACK_ACCOUNT": ("",),
    "ZSTACK_PASSWORD": ("",),
    "ZSTACK_LOGIN": ("", "ldap"),
    "ZSTACK_ACCESS_KEY_ID": NO_WORD,
    "ZSTACK_ACCESS_KEY_SECRET": NO_WORD,
    "ZSTACK_ACTION_KEY": ("", "Changeticketstatus"),
    "ZSTACK_TIME_ZONE": ("Mars/Olympus", "../../etc/passwd", "America", "UTC+25"),
    "ZSTACK_EDITS_PER_SECOND": (*NO_NUMBER, "1001"),
}

# What may be typed by mistake anywhere: it is taken or named, and never something else.
ODD = (
    "",
    " ",
    "ü",
    "\udcff",  # a byte that is no UTF-8
    "\x1b[2J",
    "a\nb",
    LONG,
    *(f"{scheme}://me:{SECRET}/[@h:abc/x" for scheme in ("https", "http", "postgresql", "sqlite")),
)

KNOWN = [name for _, model in GROUPS for name in names(model)]


@pytest.fixture
def start(here: Amend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Amend:
    """`amend run` up to where it would listen, with the good settings and what is given."""

    async def listens(bot: bootstrap.Bot) -> None:
        for vendor in bot.registry.vendors:
            await vendor.close()

    monkeypatch.setattr(cli, "_until_told", listens)
    (tmp_path / "no.pem").write_text("no certificate\n", "utf-8")
    (tmp_path / "latin.toml").write_bytes("# für alle\n".encode("latin-1"))
    (tmp_path / "broken.toml").write_text("[approvals\n", "utf-8")
    (tmp_path / "wrong.toml").write_text('[approvals]\nexpire_after = "8h"\n', "utf-8")

    def run(**settings: str) -> tuple[int, str, str]:
        return here("run", **GOOD | settings)

    return run


def test_every_setting_is_in_the_table() -> None:
    assert sorted(KNOWN) == sorted(MALFORMED)


def test_what_the_tables_rows_begin_from_is_a_start(start: Amend) -> None:
    assert start() == (0, "", "")


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_setting_is_one_line_that_names_it(start: Amend, name: str) -> None:
    wrong = {}
    for value in MALFORMED[name]:
        code, out, err = start(**{name: value})
        if (code, out) != (2, "") or not _names(err, name):
            wrong[value[:80]] = (code, err)
    assert wrong == {}


@pytest.mark.parametrize("name", KNOWN)
def test_an_odd_text_is_taken_or_named(start: Amend, name: str) -> None:
    wrong = {}
    for value in ODD:
        code, out, err = start(**{name: value})
        if name == "AMEND_POLICY":
            err = err.replace(value, "…") if len(value) > 9 else err  # a path is no secret
        if not (code == 0 or ((code, out) == (2, "") and _names(err, name))):
            wrong[value[:80]] = (code, err)
    assert wrong == {}


def _names(err: str, name: str) -> bool:
    """One line of moderate length that is about this setting, and tells no secret."""
    one = err.startswith("amend: ") and len(err.splitlines()) == 1 and len(err) < 300
    return one and name in err and SECRET not in err


# 192.0.2.0/24 is nobody's (RFC 5737), as are names below .invalid (RFC 2606).
@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.7"])
async def test_a_host_that_cannot_be_listened_on_is_named_and_not_its_port(host: str) -> None:
    assert await _refused(host, 0) == f"AMEND_HOST: {host}"


async def test_a_port_that_is_taken_is_named_and_not_its_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert await _refused("127.0.0.1", port) == f"AMEND_PORT: {port}"


async def _refused(host: str, port: int) -> str:
    """What a start says first that is to listen there."""
    settings = Settings(_env_file=None, amend_host=host, amend_port=port)
    bot = bootstrap.Bot(settings, Registry(()), Policy.default())
    with pytest.raises(BadSettings) as refused:
        await bot.start()
    await bot.stop()
    said = str(refused.value)
    assert "None" not in said
    return said.partition(" cannot be listened on (")[0]


def test_a_database_that_is_none_is_named_by_every_command(here: Amend, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database, but something of somebody's\n" * 100, "utf-8")
    settings = GOOD | {"DATABASE_URL": "sqlite:///notes.txt"}
    asked = (["run"], ["migrate"], ["people", "list"], ["show", "R1"], ["audit", "verify"])
    for words in asked:
        code, out, err = here(*words, **settings)
        assert (code, out) == (2, ""), (words, err)
        assert _names(err, "DATABASE_URL"), (words, err)
    assert (tmp_path / "notes.txt").read_text("utf-8").startswith("no database")


def test_a_database_whose_lock_cannot_be_made_is_named(start: Amend, tmp_path: Path) -> None:
    (tmp_path / "amend.db.lock").mkdir()
    code, _, err = start()
    assert code == 2
    assert _names(err, "DATABASE_URL"), err


@pytest.mark.parametrize("words", [["run"], ["policy", "explain", "qualys.edit_tickets"]])
def test_a_file_of_settings_that_is_no_text_is_named(
    here: Amend, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / ".env").write_bytes(f"AMEND_SIEM_TOKEN={SECRET}ü\n".encode("latin-1"))
    code, out, err = here(*words)
    assert (code, out) == (2, "")
    assert _names(err, ".env"), err


def test_what_a_policy_demands_names_the_file_that_does_not_hold(
    here: Amend, tmp_path: Path
) -> None:
    (tmp_path / "wrong.toml").write_text('[approvals]\nexpire_after = "8h"\n', "utf-8")
    asked = ("policy", "explain", "qualys.edit_tickets")
    code, _, err = here(*asked, "--policy", "wrong.toml")
    assert code == 2
    assert err.startswith("amend: wrong.toml, line 2: ")
    code, _, err = here(*asked, AMEND_POLICY="wrong.toml")
    assert code == 2
    assert err.startswith("amend: AMEND_POLICY: wrong.toml, line 2: ")


TRACES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("nonsense", "http://h:abc", f"https://me:{SECRET}[@h:1"),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ("nonsense", "ftp://h.example"),
    "OTEL_BSP_SCHEDULE_DELAY": ("-1",),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("-1",),
}


@pytest.mark.parametrize("name", TRACES)
def test_a_malformed_variable_of_the_traces_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in TRACES[name]:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv(name, value)
        with pytest.raises(BadSettings) as refused:
            tracing.export()
        assert _names(f"amend: {refused.value}", name)
