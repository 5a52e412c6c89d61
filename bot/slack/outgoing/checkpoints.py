"""A signed checkpoint in a channel: a witness that nobody can take back from the database."""

from __future__ import annotations

from bot.db.audit import checkpoint
from bot.db.store import Store
from bot.db.tables import Delivery
from bot.slack.outgoing.messenger import Rendered
from bot.slack.views.blocks import context, section

EVENT = "amend_checkpoint"


async def render(store: Store, delivery: Delivery) -> Rendered | None:
    """The message of one checkpoint; None where there is none of that size."""
    size = int(delivery.key.rpartition(":")[2])
    found = await checkpoint(store.engine, size)
    if found is None:
        return None
    facts = {"size": size}
    text = f"Audit checkpoint: {size:,} entries."
    how = "To check a trail against it: save the text above and run `amend audit verify --checkpoint`."
    message = {
        "text": text,
        "blocks": [section(f"{text}\n```{found.note}```"), context(how)],
        "metadata": {"event_type": EVENT, "event_payload": facts},
    }
    return Rendered(message, (EVENT, facts))
