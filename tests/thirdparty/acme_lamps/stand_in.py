"""A stand-in for the lamps' API on loopback: `GET /lamps`, and `PUT /lamps/{id}` with how it shall be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from deploy.sandbox.vendors.base import Answer, Call, JsonStandIn


class LampsStandIn(JsonStandIn):
    """Three lamps; `calls` are the changes that came, for a test to count."""

    name = "lamps"
    people: ClassVar[Sequence[str]] = ("U0MARA,lamps,mara,Janitor,",)

    def __init__(self) -> None:
        super().__init__()
        self.lamps = {"L1": "off", "L2": "off", "L3": "on"}
        self.calls: list[tuple[str, str]] = []

    def settings(self) -> dict[str, str]:
        return {"LAMPS_URL": self.url, "LAMPS_TOKEN": "sandbox-not-a-secret"}

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") != "Bearer sandbox-not-a-secret":
            return self.refused()
        if call.method == "GET":
            return Answer(200, self.lamps)
        lamp = call.path.rpartition("/")[2]
        self.calls.append((lamp, call.json["switch"]))
        self.lamps[lamp] = call.json["switch"]
        return Answer(200, {"says": "click"})

    def broken(self, fault: str, call: Call) -> Answer | None:
        return None
