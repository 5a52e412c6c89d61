"""`amend policy` as its author meets it: a fresh process without settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_audit_command import amend

GOOD = """\
[[approvals.rules]]
operations = ["qualys.edit_tickets"]
where = { change_state = ["RESOLVED"] }
over_records = 10
approvers = 2
roles = ["Manager"]

[[channels]]
id = "C0NIGHT"
allow = ["ccs.*"]
"""


def test_a_policy_that_holds_and_one_that_does_not(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD, "utf-8")
    (tmp_path / "bad.toml").write_text(GOOD.replace("over_records", "over_record"), "utf-8")
    good = amend(tmp_path, "policy", "check", "good.toml")
    assert (good.returncode, good.stderr) == (0, "")
    assert "1 rule" in good.stdout
    bad = amend(tmp_path, "policy", "check", "bad.toml")
    assert bad.returncode == 1
    assert "line 4" in bad.stderr
    assert "Traceback" not in bad.stderr
    assert amend(tmp_path, "policy", "check", "none.toml").returncode == 2


MANY_FAULTS = """\
[approvals]
expires_after = "never"
remind_after = 5

[[approvals.rules]]
operations = ["qualys.edit_ticket"]

[[approvals.rules]]
operations = ["qualys.edit_tickets"]
approvers = 2

[[approvals.rules]]
approvers = 2

[[quiet]]
vendor = "qualis"
from = "22:00"
to = "06:00"

[[channels]]
id = "general"
allow = []
"""


def test_every_rule_that_is_wrong_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(MANY_FAULTS, "utf-8")
    found = amend(tmp_path, "policy", "check", "p.toml")
    assert found.returncode == 1
    lines = [
        int(each.partition("line ")[2].partition(":")[0]) for each in found.stderr.splitlines()
    ]
    assert lines == [2, 3, 6, 12, 16, 21]
    assert "Did you mean `qualys.edit_tickets`" in found.stderr


def test_a_file_that_is_not_there_is_named_and_no_setting_is_blamed(tmp_path: Path) -> None:
    found = amend(tmp_path, "policy", "check", "none.toml")
    assert (found.returncode, found.stderr) == (2, "amend: none.toml cannot be read.\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["change_state=RESOLVED", "--records", "11"], "Manager"),
        (["change_state=Resolved", "--records", "11"], "Approvals: 2"),
        (["change_state=RESOLVED", "--records", "10"], "Approvals: none."),
        (["change_state=OPEN", "--records", "11"], "Approvals: none."),
        (["change_state=IGNORED"], "Approvals: 1"),
        (["--records", "501"], "Approvals: 1"),
        (["--channel", "C0NIGHT"], "Refused: C0NIGHT allows ccs.*."),
        (["--channel", "C0DAY"], "Roles that may: Manager"),
    ],
)
def test_what_it_demands_and_why(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "p.toml").write_text(GOOD, "utf-8")
    asked = ["policy", "explain", "qualys.edit_tickets", *words, "--policy", "p.toml"]
    found = amend(tmp_path, *asked)
    assert (found.returncode, found.stderr) == (0, "")
    assert told in found.stdout


def test_the_policy_in_force_is_that_of_the_settings_else_the_defaults(tmp_path: Path) -> None:
    asked = ["policy", "explain", "qualys.edit_tickets", "change_state=RESOLVED", "--records", "11"]
    assert "the defaults" in amend(tmp_path, *asked).stdout
    (tmp_path / "p.toml").write_text(GOOD, "utf-8")
    (tmp_path / ".env").write_text("AMEND_POLICY=p.toml\n", "utf-8")
    assert "Approvals: 2" in amend(tmp_path, *asked).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["qualys.no_such"],
        ["qualys.edit_tickets", "colour=red"],
        ["qualys.edit_tickets", "change_state=maybe"],
    ],
)
def test_what_is_not_known_is_one_sentence(tmp_path: Path, words: list[str]) -> None:
    found = amend(tmp_path, "policy", "explain", *words)
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1
