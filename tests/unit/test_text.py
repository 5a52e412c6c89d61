"""The text grammar: Slack's escaping undone, words read, names resolved."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.errors import InvalidInput
from bot.domain.parameters import Kind, Param
from bot.domain.text import Words, parse, resolve, unescape


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(InvalidInput) as caught:
        action()
    (problem,) = caught.value.problems
    return problem.message


def value(text: str) -> str:
    """The single value of a text that has one name."""
    words = parse(text)
    assert words.records == ()
    (found,) = words.values.values()
    return found


# --- Slack's escaping --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("", ""),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<mailto:a@b.example>", "a@b.example"),
        ("<http://x.example|x.example>", "x.example"),
        ("<https://x.example/?a=1&amp;b=2>", "https://x.example/?a=1&b=2"),
        ("<tel:+49123|+49 123>", "+49 123"),
        ("<@U1|ann>", "@ann"),
        ("<@U1>", "@U1"),
        ("<@U1|>", "@U1"),
        ("<#C1|ops>", "#ops"),
        ("<#C1>", "#C1"),
        ("<#C1|>", "#C1"),
        ("<!subteam^S1|@oncall>", "@oncall"),
        ("<!subteam^S1>", "@S1"),
        ("<!here>", "@here"),
        ("<!date^1392734382^{date}|18 February>", "18 February"),
        ("a &lt; b &amp; c &gt; d", "a < b & c > d"),
        ("&amp;lt;", "&lt;"),
        ("&amp;amp;", "&amp;"),
        ("&lt;@U1&gt;", "<@U1>"),
        ("a=1&amp;b=2", "a=1&b=2"),
        ("1 < 2 > 1", "1 < 2 > 1"),
        ("assignee=<mailto:a@b.example|a@b.example> by <@U1|ann>", "assignee=a@b.example by @ann"),
    ],
)
def test_slacks_escaping_is_undone_once(escaped: str, plain: str) -> None:
    assert unescape(escaped) == plain


# --- words and quotes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "records", "values"),
    [
        ("", (), {}),
        (" \n\t ", (), {}),
        ("23456", ("23456",), {}),
        ("23456,23460-23470 23480", ("23456", "23460-23470", "23480"), {}),
        ("23456, 23457 ,,23458,", ("23456", "23457", "23458"), {}),
        ('"23456, 23457",23458', ("23456", "23457", "23458"), {}),
        ("23456 change_state=RESOLVED", ("23456",), {"change_state": "RESOLVED"}),
        ("a=1 b=2", (), {"a": "1", "b": "2"}),
        ("a=1\nb=2\r\nc=3", (), {"a": "1", "b": "2", "c": "3"}),
        ("a=1\u00a0b=2", (), {"a": "1", "b": "2"}),
        ("Change_State=x a.b-c_1=y", (), {"Change_State": "x", "a.b-c_1": "y"}),
        ("https://x/?a=b", ("https://x/?a=b",), {}),
        ("https://x/?a=b&c=d a=1", ("https://x/?a=b&c=d",), {"a": "1"}),
    ],
)
def test_leading_words_are_records_and_the_rest_is_names_with_values(
    text: str, records: tuple[str, ...], values: dict[str, str]
) -> None:
    words = parse(text)
    assert words == Words(records, values)
    assert list(words.values) == list(values)


@pytest.mark.parametrize(
    "text",
    [
        'c="Host patched"',
        "c='Host patched'",
        "c=“Host patched”",
        "c=„Host patched“",
        "c=„Host patched”",
        "c=‘Host patched’",
        "c=«Host patched»",
        "c=»Host patched«",
        'c = "Host patched"',
        'c= "Host patched" ',
    ],
)
def test_quotes_straight_or_typographic_keep_a_value_together(text: str) -> None:
    assert value(text) == "Host patched"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c=don't", "don't"),
        ("c=don’t", "don’t"),
        ("c=hosts'", "hosts'"),
        ('c=5"', '5"'),
        ("c='don't reboot'", "don't reboot"),
        ("c=‘don’t reboot’", "don’t reboot"),
        ('c="don\'t = a=b"', "don't = a=b"),
        ('c="He said “hi”"', "He said “hi”"),
        ('c="New York",London', "New York,London"),
        ('c="line one\nline two"', "line one\nline two"),
    ],
)
def test_a_quote_opens_only_at_the_start_of_a_word_or_after_the_equals_sign(
    text: str, expected: str
) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"c=CORP\jdoe", r"CORP\jdoe"),
        (r"c=CORP\\jdoe", r"CORP\\jdoe"),
        (r'c="CORP\jdoe \n"', r"CORP\jdoe \n"),
        (r'c="say \"hi\""', 'say "hi"'),
        (r"c='it\'s'", "it's"),
        (r"c=“say \”hi\””", "say ”hi”"),
        (r"c=\"", r"\""),
        (r'c="a\\"b"', r"a\"b"),
    ],
)
def test_a_backslash_is_ordinary_except_before_a_quote_inside_quotes(
    text: str, expected: str
) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("change_state = RESOLVED", {"change_state": "RESOLVED"}),
        ("change_state= RESOLVED", {"change_state": "RESOLVED"}),
        ("change_state =RESOLVED", {"change_state": "RESOLVED"}),
        ("a = 1 b = 2", {"a": "1", "b": "2"}),
        ('a=""', {"a": ""}),
        ("a=''", {"a": ""}),
        ("a=“”", {"a": ""}),
        ("a=", {"a": ""}),
        ("a= ", {"a": ""}),
        ("a= b=2", {"a": "", "b": "2"}),
        ("a = b = 2", {"a": "", "b": "2"}),
        ("a=b=2", {"a": "b=2"}),
        ("a==", {"a": "="}),
    ],
)
def test_blanks_around_the_equals_sign_are_fine_and_nothing_after_it_is_empty(
    text: str, values: dict[str, str]
) -> None:
    assert parse(text) == Words((), values)


# --- the vendor's own form ---------------------------------------------------------------------

DOCUMENT = [
    (
        "ticket_numbers=23456&add_comment=Host+patched,+ready+for+re-scan",
        {"ticket_numbers": "23456", "add_comment": "Host patched, ready for re-scan"},
    ),
    ("ips=10.10.10.120&reopen_ignored_days=7", {"ips": "10.10.10.120", "reopen_ignored_days": "7"}),
    (
        "states=OPEN&unmodified_since=2018-01-01&ticket_assignee=qualys_tb&change_assignee=qualys_ac",
        {
            "states": "OPEN",
            "unmodified_since": "2018-01-01",
            "ticket_assignee": "qualys_tb",
            "change_assignee": "qualys_ac",
        },
    ),
    (
        "since_ticket_number=00215555&invalid=1&change_assignee=acme_ac",
        {"since_ticket_number": "00215555", "invalid": "1", "change_assignee": "acme_ac"},
    ),
    (
        "states=OPEN&asset_groups=New+York,London&change_state=IGNORED",
        {"states": "OPEN", "asset_groups": "New York,London", "change_state": "IGNORED"},
    ),
]


@pytest.mark.parametrize(("form", "values"), DOCUMENT)
def test_every_example_of_the_document_is_read_as_it_stands(
    form: str, values: dict[str, str]
) -> None:
    assert parse(form) == Words((), values)
    assert parse(f"  {form}\n") == Words((), values)
    assert parse(unescape(form.replace("&", "&amp;"))) == Words((), values)
    assert parse(f"23456,23460 {form}") == Words(("23456", "23460"), values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1&b=x%26y%3Dz%20%2B", {"a": "1", "b": "x&y=z +"}),
        ("a=1&b=x%26c%3D2", {"a": "1", "b": "x&c=2"}),
        ("a=&b=2&", {"a": "", "b": "2"}),
        ("a=don't&b=2", {"a": "don't", "b": "2"}),
        ("a=Host%20patched+today", {"a": "Host%20patched+today"}),
        ("a=https://wiki.example/Patch%20Notes", {"a": "https://wiki.example/Patch%20Notes"}),
        ('a=1&b="x y"', {"a": "1", "b": '"x y"'}),
        ('a=x&b=needs "more" work&c=1', {"a": "x", "b": 'needs "more" work', "c": "1"}),
        ("a=x&b=it's 5' long &c=1", {"a": "x", "b": "it's 5' long", "c": "1"}),
        ("change_state=OPEN add_comment=a&b", {"change_state": "OPEN", "add_comment": "a&b"}),
        ("change_state=OPEN add_comment=100%25", {"change_state": "OPEN", "add_comment": "100%25"}),
        ("add_comment=C++", {"add_comment": "C++"}),
        ("add_comment=R&D", {"add_comment": "R&D"}),
        ("add_comment=100%", {"add_comment": "100%"}),
        ('add_comment="a=1&b=c+d"', {"add_comment": "a=1&b=c+d"}),
        ("a=x&b=2 c=3", {"a": "x", "b": "2 c=3"}),
        ("a=x&comments=new exception", {"a": "x", "comments": "new exception"}),
        ("a=x&b=MSSQL 2022:1:1433&c= y ", {"a": "x", "b": "MSSQL 2022:1:1433", "c": "y"}),
        ("a=x&b=R & D & more&c=1", {"a": "x", "b": "R & D & more", "c": "1"}),
    ],
)
def test_only_a_form_is_decoded_and_its_quotes_are_its_own(
    text: str, values: dict[str, str]
) -> None:
    assert parse(text) == Words((), values)


def test_a_form_may_follow_leading_records() -> None:
    assert parse("23456 change_state=RESOLVED&add_comment=Host+patched") == Words(
        ("23456",), {"change_state": "RESOLVED", "add_comment": "Host patched"}
    )


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('a=1 c="Host patched', ['`"Host patched`', "not closed", 'put `"`']),
        ("c=“Host\npatched", ["`“Host patched`", "not closed", "put `”`"]),
        ("'23456", ["`'23456`", "not closed"]),
        ('c="' + "x" * 200, ['`"xxx', "…", "not closed"]),
        ("add_comment=Host patched", ["`patched` has no name", 'add_comment="Host patched"']),
        ("add_comment=Host is patched a=1", ["`is` has", 'add_comment="Host is patched"']),
        (
            "add_comment=the 'best' one",
            ["`'best'` has no name", "add_comment=\"the 'best' one\""],
        ),
        ('add_comment=5" pipe', [r'add_comment="5\" pipe"']),
        ('add_comment="Host patched" now', ['add_comment="Host patched now"']),
        ("change_state=RESOLVED 23456", ["`23456` has no name", "put it first"]),
        ("add_comment= Host patched", ['add_comment="Host patched"']),
        ("a=1 a=2", ["`a` is given twice"]),
        ("a=1 A=2", ["`A` is given twice"]),
        ("a=1&b=2&a=3", ["`a` is given twice"]),
        ("=x", ["`=x` has no name"]),
        ("23456 = x", ["`=` has no name"]),
        ("a=1 =x", ["`=x` has no name"]),
        ("c=3 a=x&b=2", ["`a` runs on into `&b=`"]),
        ('a="x"&b=2', ["`&b=2` touches the closing quote"]),
        ('a="x",b=2', ["`,b=2` touches the closing quote"]),
        ('a="say "hi""', ['`hi""` touches the closing quote', "backslash"]),
        ("a=1&b=%00", ["U+0000 cannot be sent"]),
        ("a=\ud800", ["U+D800 cannot be sent"]),
    ],
)
def test_what_breaks_the_grammar_gets_one_sentence_that_says_what_to_change(
    text: str, parts: list[str]
) -> None:
    message = refusal(lambda: parse(text))
    for part in parts:
        assert part in message
    assert message.endswith(".")
    assert "\n" not in message


def test_the_hint_for_a_value_without_quotes_is_itself_readable() -> None:
    message = refusal(lambda: parse('add_comment=fit a 5" pipe'))
    hint = message.split("write `")[1].split("` if")[0]
    assert parse(hint) == Words((), {"add_comment": 'fit a 5" pipe'})


# --- properties --------------------------------------------------------------------------------

GRAMMAR = st.text(st.sampled_from("ab1=&+%2 \n\"'“”„‘’«»\\,<>|@#!;;_-.é\x00"), max_size=40)
ANYTHING = st.text(st.characters(), max_size=60) | GRAMMAR


@given(ANYTHING)
@example("<|>")
@example("a=\\")
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    message = ""
    try:
        words = parse(unescape(text))
    except InvalidInput as error:
        message = str(error)
    else:
        assert all(words.records)
        assert all(words.values)
    assert len(message.splitlines()) <= 1


SENDABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t"))


# A backslash at the end of a value would escape the closing quote.
@given(
    (SENDABLE | GRAMMAR.map(lambda text: text.replace("\x00", ""))).map(lambda t: t.rstrip("\\"))
)
def test_any_value_survives_double_quotes_with_its_quotes_escaped(text: str) -> None:
    escaped = "".join(f"\\{each}" if each in "\"'“”„‘’«»" else each for each in text)
    assert parse(f'1 a="{escaped}" b=2') == Words(("1",), {"a": text, "b": "2"})


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_.-]*", fullmatch=True), GRAMMAR, min_size=2))
def test_any_form_encoded_values_are_read_back(values: dict[str, str]) -> None:
    clean = {name: each.replace("\x00", "") for name, each in values.items()}
    assert parse(urlencode(clean)) == Words((), clean)


# --- names -------------------------------------------------------------------------------------

PARAMS = {
    "ticket_numbers": Param(Kind.SELECTION, "Ticket numbers", aliases=("tickets",)),
    "change_state": Param(Kind.CHANGE, "New state", aliases=("State",)),
    "add_comment": Param(Kind.CHANGE, "Comment", aliases=("comment",)),
    "assigned_user_mail": Param(Kind.CHANGE, "Assignee", empty_means="Unassign"),
    "comment_kind": Param(Kind.CHANGE, "Kind", aliases=("change_state",)),
}


def resolved(text: str) -> dict[str, str]:
    return resolve(PARAMS, parse(text), "ticket_numbers")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("1,2 3", {"ticket_numbers": "1,2,3"}),
        ("tickets=1 STATE=x", {"ticket_numbers": "1", "change_state": "x"}),
        ("1 Comment=x", {"ticket_numbers": "1", "add_comment": "x"}),
        ("CHANGE_STATE=x", {"change_state": "x"}),
        ('assigned_user_mail=""', {"assigned_user_mail": ""}),
        ("assigned_user_mail=", {"assigned_user_mail": ""}),
    ],
)
def test_names_are_taken_in_any_case_and_under_their_aliases(
    text: str, values: dict[str, str]
) -> None:
    assert resolved(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ad_comment=x",
            "`ad_comment` is not a parameter here. Did you mean `add_comment` or `comment_kind`?",
        ),
        ("add_comment=", "`add_comment` is empty; leave it out, or give it a value."),
        ('Comment=""', "`add_comment` is empty; leave it out, or give it a value."),
        (
            "1 tickets=2",
            "`ticket_numbers` is given twice, by the words at the front and by name; give it once.",
        ),
        (
            "comment=a add_comment=b",
            "`comment` and `add_comment` are both `add_comment`; give only one.",
        ),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused(text: str, message: str) -> None:
    assert refusal(lambda: resolved(text)) == message


def test_every_name_that_cannot_be_taken_is_a_problem_of_its_own() -> None:
    with pytest.raises(InvalidInput) as caught:
        resolved("zzz=1 change_state= tickets=1 qqq=2")
    assert [each.name for each in caught.value.problems] == ["zzz", "change_state", "qqq"]
