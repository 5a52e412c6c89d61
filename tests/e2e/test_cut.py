"""A selection larger than what one Qualys call takes."""

from __future__ import annotations

from pathlib import Path

from bench.sandbox import many_tickets
from tests.e2e.conftest import MARA, Make, until

# document, "Ticket limit": 20,000 tickets in one request.
LIMIT, MANY = 20_000, 20_500


async def test_more_tickets_than_one_call_takes_go_out_in_two(make: Make, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("[approvals]\ndefaults = false\n")
    world = await make(AMEND_POLICY=str(tmp_path / "policy.toml"))
    many_tickets(world.qualys, MANY)
    await world.type(MARA, "/qualys states=OPEN change_state=RESOLVED")
    await until(lambda: world.view(MARA).get("callback_id") == "review", "review")
    await world.act(MARA, "submit", view_id=world.view(MARA)["id"], values={})
    await until(lambda: bool(world.cards()), "card")
    await until(lambda: world.payload()["state"] == "succeeded", "end")
    sent = [each["ticket_numbers"].split(",") for each in world.edits()]
    assert [len(each) for each in sent] == [LIMIT, MANY - LIMIT]
    assert len({number for each in sent for number in each}) == MANY
    assert world.payload()["changed"] == MANY
