"""Every setting, malformed: the start ends with one line that names it, and with no secret in it.

CONTRACT section 3 says what each takes. A setting that is added is in one of both tables, or a test
here fails.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import bootstrap, cli
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
    "SLACK_APP_TOKEN": NO_WORD,
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
    "AMEND_ADMINS": ("mara@example.com", "@mara", "mara", "U0MARA;U0LEAD", "U0MARA U0LEAD", "U1"),
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
