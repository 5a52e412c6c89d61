"""A vendor at whose own page each person signs in, met as a person does: form, browser, paste, edit."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from bot.domain.people import Account
from deploy.sandbox.ports import free_port
from tests.e2e.conftest import MARA, UMAR, Make, World, text_of, until

FOLDER = Path(__file__).parents[1] / "thirdparty"


@pytest_asyncio.fixture
async def world(make: Make, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.syspath_prepend(str(FOLDER))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    made = await make(AMEND_PORT=str(port), AMEND_PUBLIC_URL=url)
    made.sandbox.doors.redirect_uri = f"{url}/signed-in"
    for user, account in ((MARA, "mara"), (UMAR, "umar")):
        keeper = Account("doors", account, "Keeper")
        await made.bot.store.map_person(made.bot.team, user, keeper, "test")
    return made


async def form_of(world: World, user: str) -> dict[str, Any]:
    await world.type(user, "/amend link doors")
    return await world.view_is(user, "link")


def address(view: dict[str, Any]) -> str:
    """The vendor's page, as the form's link leads there."""
    found = re.search(r"<(http[^|>]+)\|", text_of(view))
    assert found, text_of(view)
    return html.unescape(found[1])


async def browsed(url: str, person: str, answer: str = "allow") -> httpx.Response:
    """The vendor's page, its form answered as a browser does, and where that leads."""
    async with httpx.AsyncClient() as browser:
        page = await browser.get(url)
        assert page.status_code == 200, page.text
        hidden = re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page.text)
        form = {name: html.unescape(value) for name, value in hidden}
        form |= {"person": person, "answer": answer}
        target = f"{url.split('/oauth/', maxsplit=1)[0]}/oauth/authorize"
        sent = await browser.post(target, data=form)
        assert sent.status_code == 302, sent.text
        return await browser.get(sent.headers["location"])


async def signed_in(view: dict[str, Any], person: str) -> str:
    """What the page shows for copying."""
    page = await browsed(address(view), person)
    found = re.search(r"<code>(.*?)</code>", page.text)
    assert found, page.text
    return html.unescape(found[1])


async def paste(world: World, user: str, view: dict[str, Any], text: str) -> str:
    """Submit the form; what it says then."""
    cell = {"type": "plain_text_input", "value": text}
    await world.act(user, "submit", view_id=view["id"], values={"pasted": {"pasted": cell}})

    def over() -> bool:
        said = str(world.view(user))
        return any(each in said for each in (":warning:", "white_check_mark", "nothing was kept"))

    await until(over, "an answer to what was pasted")
    return text_of(world.view(user))


async def linked(world: World, user: str = MARA, person: str = "mara") -> None:
    view = await form_of(world, user)
    said = await paste(world, user, view, await signed_in(view, person))
    assert "white_check_mark" in said
    await world.act(user, "close", view_id=world.view(user)["id"])


async def open_doors(world: World, text: str) -> dict[str, Any]:
    view = await reviewed(world, text)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    return await world.settled()


async def reviewed(world: World, text: str) -> dict[str, Any]:
    await world.type(MARA, text)
    return await world.view_is(MARA, "review")


async def test_whoever_signed_in_edits_under_their_own_account(world: World) -> None:
    await linked(world)
    view = await reviewed(world, "/doors D1,D2 lock=open")
    assert "your own account `mara`" in text_of(view)
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
    assert sorted(world.sandbox.doors.calls) == [("mara", "D1", "open"), ("mara", "D2", "open")]


async def test_a_token_that_ends_between_review_and_run_is_renewed_once(world: World) -> None:
    await linked(world)
    view = await reviewed(world, "/doors D1,D2,D3 lock=open")
    world.sandbox.doors.end("mara")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    assert (await world.settled())["state"] == "succeeded"
    assert world.sandbox.doors.renewals == 1
    # The stand-in takes everything back where a refresh token comes twice, so the next one shows it.
    world.sandbox.doors.end("mara")
    assert (await open_doors(world, "/doors D1,D2 lock=locked"))["state"] == "succeeded"
    assert world.sandbox.doors.renewals == 2


async def test_a_token_whose_time_is_over_is_not_sent_any_more(world: World) -> None:
    world.sandbox.doors.lives = 4.0
    await linked(world)
    refused = len([each for each in world.sandbox.doors.requests if each.path == "/doors"])
    assert (await open_doors(world, "/doors D1,D2 lock=open"))["state"] == "succeeded"
    assert world.sandbox.doors.renewals >= 1
    assert refused == 0


async def test_who_has_to_sign_in_again_is_told_and_the_vendor_is_left_in_peace(
    world: World,
) -> None:
    await linked(world)
    view = await reviewed(world, "/doors D1,D2 lock=open")
    world.sandbox.doors.revoke("mara")
    await world.act(MARA, "submit", view_id=view["id"], values={})
    await until(lambda: "sign in again" in str(world.cards()), "the card says why it waits")
    asked = [each for each in world.sandbox.doors.requests if each.path == "/oauth/token"]
    assert len(asked) == 2, "once for the code, once for the renewal"
    assert world.sandbox.doors.calls == []


async def test_what_came_of_another_form_binds_nobody(world: World) -> None:
    """Whoever sends somebody else to the vendor's page gets nothing by it, nor gives anything."""
    umars = await form_of(world, UMAR)
    maras = await form_of(world, MARA)
    code = await signed_in(umars, "umar")
    said = await paste(world, MARA, maras, code)
    assert "not for this form" in said
    anew = world.view(MARA)
    assert anew["callback_id"] == "link", "the form stands again, with a sign-in of its own"
    assert address(anew) != address(maras)
    stolen = await signed_in(umars, "mara")
    said = await paste(world, UMAR, umars, stolen)
    assert "nothing was kept" in said
    assert await world.bot.pipeline.parts.vault.linked(world.bot.team, UMAR) == {}


async def test_who_is_not_mapped_while_the_vendor_lists_nobody_is_told_so(world: World) -> None:
    parts = world.bot.pipeline.parts
    await parts.store.unmap_person(world.bot.team, UMAR, "doors", "test")
    world.sandbox.doors.set_fault("http_503", {"only": "/people"})
    view = await form_of(world, UMAR)
    said = await paste(world, UMAR, view, await signed_in(view, "umar"))
    assert ":warning:" in said
    assert await parts.vault.linked(world.bot.team, UMAR) == {}


@pytest.mark.parametrize("pasted", ["", ".", "x", "no.code", "' or 1=1 --", "é.ü"])
async def test_what_is_no_code_is_told_so(world: World, pasted: str) -> None:
    view = await form_of(world, MARA)
    assert "not for this form" in await paste(world, MARA, view, pasted or " ")
    assert not [each for each in world.sandbox.doors.requests if each.path == "/oauth/token"]


async def test_a_code_that_was_used_is_refused_in_plain_words(world: World) -> None:
    view = await form_of(world, MARA)
    code = await signed_in(view, "mara")
    async with httpx.AsyncClient(auth=("amend", "sandbox-client-secret")) as thief:
        form = {"grant_type": "authorization_code", "code": code.rpartition(".")[0]}
        form |= {"redirect_uri": world.sandbox.doors.redirect_uri, "code_verifier": "v" * 43}
        await thief.post(f"{world.sandbox.doors.url}/oauth/token", data=form)
    await paste(world, MARA, view, code)
    await paste(world, MARA, world.view(MARA), code)
    assert await world.bot.pipeline.parts.vault.linked(world.bot.team, MARA) == {}


async def test_the_page_for_browsers_says_what_came_and_runs_nothing(world: World) -> None:
    view = await form_of(world, MARA)
    denied = await browsed(address(view), "mara", "deny")
    assert "access_denied" in denied.text
    assert "Nothing was linked" in denied.text
    base = f"http://127.0.0.1:{world.bot.port}/signed-in"
    async with httpx.AsyncClient() as browser:
        hostile = await browser.get(
            base, params={"code": "<script>alert(1)</script>", "state": "<b>"}
        )
        nothing = await browser.get(base)
        long = await browser.get(base, params={"code": "x" * 5000, "state": "y"})
    assert "<script" not in hostile.text
    assert "&lt;script&gt;" in hostile.text
    assert hostile.headers["content-security-policy"].startswith("default-src 'none'")
    assert hostile.headers["cache-control"] == "no-store"
    assert "Nothing came back" in nothing.text
    assert "xxxx" not in long.text, "what the form cannot hold is not shown cut"


def stored(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


async def test_tokens_are_in_no_table_no_message_and_no_log(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await linked(world)
    world.sandbox.doors.end("mara")
    await open_doors(world, "/doors D1,D2 lock=open")
    sent = {
        each.headers["authorization"].removeprefix("Bearer ")
        for each in world.sandbox.doors.requests
        if "oauth" not in each.path and "not-a-secret" not in each.headers["authorization"]
    }
    refreshed = re.findall(
        r"refresh_token=([^&]+)",
        " ".join(each.body for each in world.sandbox.doors.requests),
    )
    secrets = {*sent, *refreshed}
    assert len(secrets) >= 3
    held = stored(tmp_path)
    told = str(world.slack.state(MARA)["messages"]) + "".join(capsys.readouterr())
    for each in secrets:
        assert each.encode() not in held
        assert each not in told


async def test_a_bot_that_browsers_cannot_reach_says_what_is_missing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    world = await make(AMEND_PUBLIC_URL="")
    await world.type(MARA, "/amend link doors")
    await world.told(MARA, "AMEND_PUBLIC_URL")


async def test_without_such_a_vendor_there_is_no_page(make: Make) -> None:
    world = await make()
    async with httpx.AsyncClient() as browser:
        found = await browser.get(f"http://127.0.0.1:{world.bot.port}/signed-in?code=x&state=y")
    assert found.status_code == 404
    assert urlsplit(str(found.url)).path == "/signed-in"
