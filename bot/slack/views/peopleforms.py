"""Views about people: the list, one entry's form, a person's own credentials, whom to hand on to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.operations import Vendor, VendorUser
from bot.domain.people import Account
from bot.slack.views.blocks import Block, actions, button, code, context, escape, plain, section
from bot.slack.views.inputs import MOST_TEXT

View = dict[str, Any]

PAGE = 15
MOST_PEOPLE = 100  # options of a select
MOST_PAGE = 2500  # characters of an address, which is never cut


def people_view(
    people: Sequence[tuple[str, Account]],
    page: int,
    suggestions: Sequence[tuple[str, str, VendorUser]] = (),
) -> View:
    """Everybody who is mapped, a page at a time; `suggestions` are (person, vendor, account)."""
    blocks: list[Block] = [actions([button("Add a person", "people_edit", "")], "people")]
    for user, vendor, found in suggestions[:5]:
        text = (
            f":bulb: <@{user}> is {code(found.account)} at {escape(vendor)} ({escape(found.role)})?"
        )
        press = button(
            "Take it", f"people_edit:{user}:{vendor}", f"{user}:{vendor}:{found.account}"
        )
        blocks.append({**section(text), "accessory": press})
    for user, each in people[page * PAGE : (page + 1) * PAGE]:
        scope = f" · {escape('; '.join(each.scope))}" if each.scope else ""
        text = f"<@{user}> {escape(each.vendor)}: {code(each.account)}, {escape(each.role)}{scope}"
        press = button("Change", f"people_edit:{user}:{each.vendor}:", f"{user}:{each.vendor}")
        blocks.append({**section(text), "accessory": press})
    if not people:
        blocks.append(section("Nobody is mapped yet."))
    blocks += _pages(len(people), page)
    return {
        "type": "modal",
        "callback_id": "people",
        "title": plain("People", 24),
        "close": plain("Close", 24),
        "blocks": blocks,
    }


def _pages(many: int, page: int) -> list[Block]:
    turns = []
    if page:
        turns.append(button("Back", "people_page:back", str(page - 1)))
    if (page + 1) * PAGE < many:
        turns.append(button("More", "people_page:more", str(page + 1)))
    return [actions(turns, "turns")] if turns else []


def entry_view(vendors: Sequence[Vendor], user: str, entry: Account | None) -> View:
    """One person's entry at one vendor: new, or filled to be changed or removed."""
    known = [{"text": plain(each.title), "value": each.name} for each in vendors]
    chosen = next((each for each in known if entry and each["value"] == entry.vendor), None)
    person: Block = {"type": "users_select", "action_id": "slack_user"}
    if user:
        person["initial_user"] = user
    vendor: Block = {"type": "static_select", "action_id": "vendor", "options": known}
    if chosen:
        vendor["initial_option"] = chosen
    blocks = [
        _input("slack_user", "Person", person),
        _input("vendor", "Vendor", vendor),
        _text("account", "Account", entry.account if entry else "", "As the vendor writes it."),
        _text("role", "Role", entry.role if entry else "", "The vendor's own name of the role."),
        _text(
            "scope",
            "Scope",
            "; ".join(entry.scope) if entry else "",
            "IPs, ranges, networks or asset groups, separated by semicolons.",
            optional=True,
        ),
    ]
    if entry and user and entry.role:
        press = button("Remove this entry", "people_remove", f"{user}:{entry.vendor}")
        blocks.append(actions([{**press, "style": "danger"}], "remove"))
    return {
        "type": "modal",
        "callback_id": "people_entry",
        "title": plain("Who is who", 24),
        "submit": plain("Save", 24),
        "close": plain("Back", 24),
        "blocks": blocks,
    }


def fits_entry(entry: Account | None) -> bool:
    """True where the form of an entry holds it whole."""
    cells = (entry.account, entry.role, "; ".join(entry.scope)) if entry else ()
    return all(len(each) <= MOST_TEXT for each in cells)


def read_entry(state: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a submitted entry by column."""
    person = state["slack_user"]["slack_user"].get("selected_user") or ""
    vendor = (state["vendor"]["vendor"].get("selected_option") or {}).get("value") or ""
    typed = {name: state[name][name].get("value") or "" for name in ("account", "role", "scope")}
    return {"slack_user": str(person), "vendor": str(vendor), **typed}


def _pick(name: str, title: str, offered: Mapping[str, str]) -> Block:
    options = [{"text": plain(words, 75), "value": value} for value, words in offered.items()]
    select: Block = {
        "type": "static_select",
        "action_id": name,
        "options": options,
        "initial_option": options[0],
    }
    return {"type": "input", "block_id": name, "label": plain(title, 2000), "element": select}


def read_link(vendor: Vendor, state: Mapping[str, Any]) -> dict[str, str]:
    """The credentials of a submitted form by name; what was not picked is the default."""
    found: dict[str, str] = {}
    for name in vendor.credentials:
        cell = (state.get(name) or {}).get(name) or {}
        picked = (cell.get("selected_option") or {}).get("value")
        default = next(iter(vendor.credential_choices.get(name, ())), "")
        found[name] = str(cell.get("value") or picked or default)
    return found


def link_view(vendor: Vendor, problem: str = "") -> View:
    """A person's own credentials: tried at the vendor before they are kept."""
    blocks: list[Block] = [section(f":warning: {problem}")] if problem else []
    for name, title in vendor.credentials.items():
        offered = vendor.credential_choices.get(name)
        blocks.append(_pick(name, title, offered) if offered else _text(name, title, "", ""))
    blocks.append(
        context("They are tried at the vendor, encrypted, and used for your own edits only.")
    )
    return {
        "type": "modal",
        "callback_id": "link",
        "private_metadata": json.dumps({"vendor": vendor.name}),
        "title": plain(f"Link {vendor.title}", 24),
        "submit": plain("Try and keep", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }


def sign_in_view(vendor: Vendor, page: str, sealed: str, problem: str = "") -> View:
    """One's own sign-in: by the vendor's page, whose answer is pasted here by whoever signed in."""
    if len(escape(page)) > MOST_PAGE:
        message = f"the address of the sign-in at {vendor.title} is too long for a form"
        raise ValueError(message)
    steps = (
        f"1. <{escape(page)}|Sign in at {escape(vendor.title)}>, in your own browser.\n"
        "2. Copy what the page shows at the end, and paste it here."
    )
    pasted = {"type": "plain_text_input", "action_id": "pasted", "max_length": MOST_TEXT}
    return {
        "type": "modal",
        "callback_id": "link",
        "private_metadata": json.dumps({"vendor": vendor.name, "sealed": sealed}),
        "title": plain(f"Link {vendor.title}", 24),
        "submit": plain("Link", 24),
        "close": plain("Cancel", 24),
        "blocks": [
            *([section(f":warning: {problem}")] if problem else []),
            section(steps),
            _input("pasted", "What the page shows", pasted),
            context(
                "It works once, for ten minutes. What it opens is encrypted, for your own edits."
            ),
        ],
    }


def read_sign_in(state: Mapping[str, Any]) -> str:
    """What was pasted."""
    return str(state["pasted"]["pasted"].get("value") or "")


def hand_view(draft: str, people: Sequence[tuple[str, str]], what: str) -> View:
    """To whom a finished request is handed: one of those who may, as (Slack user id, name)."""
    options = [{"text": plain(name, 75), "value": user} for user, name in people]
    select: Block = {"type": "static_select", "action_id": "to", "options": options}
    if len(options) > MOST_PEOPLE:
        # More than a select holds: anybody can be picked, and whoever may not is told no.
        select = {"type": "users_select", "action_id": "to"}
    return {
        "type": "modal",
        "callback_id": "hand",
        "private_metadata": json.dumps({"draft": draft}),
        "title": plain("Hand it on", 24),
        "submit": plain("Hand it on", 24),
        "close": plain("Cancel", 24),
        "blocks": [
            section(f"Who should ask for this? They get it filled in, to review: {escape(what)}"),
            _input("to", "Person", select),
        ],
    }


def read_hand(state: Mapping[str, Any]) -> str:
    """The Slack user id of whoever was chosen."""
    chosen = state["to"]["to"]
    option = chosen.get("selected_option") or {}
    return str(chosen.get("selected_user") or option.get("value") or "")


def _text(name: str, label: str, initial: str, hint: str, *, optional: bool = False) -> Block:
    element: Block = {"type": "plain_text_input", "action_id": name, "max_length": MOST_TEXT}
    if initial:
        element["initial_value"] = initial
    return _input(name, label, element, hint, optional=optional)


def _input(
    name: str, label: str, element: Block, hint: str = "", *, optional: bool = False
) -> Block:
    block: Block = {
        "type": "input",
        "block_id": name,
        "optional": optional,
        "label": plain(label),
        "element": element,
    }
    if hint:
        block["hint"] = plain(hint, 150)
    return block
