"""The tools: made from the operations' own declarations, over the pipeline that everybody walks.

None of them sends an edit, approves, rejects or cancels. The furthest that one goes is a
card with a button that only a person can press.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp import types
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.asking import answers
from bot.asking.answers import Answer
from bot.db.tables import Request, Token
from bot.domain.errors import AmendError, Denied, invalid
from bot.domain.operations import Operation
from bot.domain.parameters import nearest, read
from bot.domain.plans import State
from bot.pipeline import Origin, Pipeline

PLANNED_WITHIN = 120.0  # seconds that a call waits for its plan; `status` tells the rest
LOOKS_EVERY = 0.1  # seconds
READING = frozenset({State.RECEIVED, State.SCHEDULED})

Value = str | int | list[str]
Tool = Callable[[Token, Any], Awaitable[Answer]]


class NotPlanned(Exception):
    """Nothing was planned; why not may be told in a vendor's words, which are data."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer["state"])


class Arguments(BaseModel):
    """What a tool takes; a name that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Arguments):
    pass


class OfOperation(Arguments):
    operation: str = Field(description="Its name, as `operations` lists it.")


class Can(Arguments):
    operation: str = Field("", description="One operation's name; all where it is left out.")
    channel: str = Field("", description="A Slack channel's id, for its guardrail.")


class Plan(OfOperation):
    parameters: dict[str, Value] = Field(description="Its parameters, as `describe` lists them.")
    channel: str = Field(
        "", description="Where it is to be proposed, to hear of a guardrail early."
    )


class Propose(Arguments):
    request_id: str = Field(description="As `plan` answered it.")
    digest: str = Field(description="As `plan` answered it.")
    channel: str = Field(description="The id of the Slack channel that gets the card.")
    reason: str = Field(
        "", max_length=500, description="Why, in a sentence for the person who runs it."
    )


class OfRequest(Arguments):
    request_id: str = Field(description="As `plan` answered it.")


class OfRecord(Arguments):
    record: str = Field(description="A record's number or id at its vendor.")


@dataclass
class Tools:
    """What a program may call for the owner of its token."""

    pipeline: Pipeline

    def __post_init__(self) -> None:
        self._tools: Mapping[str, tuple[str, type[Arguments], Tool]] = {
            "operations": (
                "What Amend can change, and whether you may.",
                Nothing,
                self._operations,
            ),
            "describe": (
                "An operation's parameters with their rules.",
                OfOperation,
                self._describe,
            ),
            "can": ("Whether you may do something, and why not.", Can, self._can),
            "plan": (
                "Read at the vendor and freeze a plan of what an edit would change. Changes nothing.",
                Plan,
                self._plan,
            ),
            "propose": (
                "Post a plan as a card in Slack. Nothing is sent before your person presses Run there.",
                Propose,
                self._propose,
            ),
            "status": ("Where a request stands.", OfRequest, self._status),
            "history": ("What happened to one record.", OfRecord, self._history),
        }

    def listed(self) -> list[types.Tool]:
        """Their declarations; nothing that a vendor wrote is in them."""
        return [
            types.Tool(name=name, description=words, input_schema=model.model_json_schema())
            for name, (words, model, _) in self._tools.items()
        ]

    async def call(self, name: str, given: Mapping[str, Any], token: Token) -> types.CallToolResult:
        """One call's answer; a refusal is a tool error in the words that a person would read."""
        if name not in self._tools:
            return answers.refusal(f"There is no tool {name}. There are: {', '.join(self._tools)}.")
        _, model, tool = self._tools[name]
        try:
            return answers.result(await tool(token, model.model_validate(given)))
        except NotPlanned as error:
            return answers.result(error.answer, is_error=True)
        except ValidationError as error:
            return answers.refusal(_misfit(error))
        except AmendError as error:
            await self.pipeline.acting.turned_away(token.owner, name, error)
            return answers.refusal(str(error))

    # --- looking ----------------------------------------------------------------------------------

    async def _operations(self, token: Token, _: Nothing) -> Answer:
        found = []
        for each in self.pipeline.parts.registry.operations:
            decision = await self.pipeline.acting.decide(each, token.owner, "")
            allowed = None if decision.unsure else decision.allowed
            found.append({**answers.operation(each), "allowed": allowed})
        return {"operations": found}

    async def _describe(self, _: Token, asked: OfOperation) -> Answer:
        return answers.described(self._operation(asked.operation))

    async def _can(self, token: Token, asked: Can) -> Answer:
        known = self.pipeline.parts.registry.operations
        chosen = [self._operation(asked.operation)] if asked.operation else known
        found = []
        for each in chosen:
            decision = await self.pipeline.acting.decide(each, token.owner, asked.channel)
            allowed = None if decision.unsure else decision.allowed
            reasons = list(decision.reasons)
            found.append({"operation": each.name, "allowed": allowed, "reasons": reasons})
        return {"operations": found}

    async def _status(self, token: Token, asked: OfRequest) -> Answer:
        request = await self._own(token, asked.request_id)
        return answers.state(request, await self.pipeline.facts(request))

    async def _history(self, token: Token, asked: OfRecord) -> Answer:
        found = await self.pipeline.looking.told_of(asked.record.strip(), token.owner)
        return answers.story(*found)

    # --- planning and proposing -------------------------------------------------------------------

    async def _plan(self, token: Token, asked: Plan) -> Answer:
        operation = self._operation(asked.operation)
        parameters = read(operation.parameters, asked.parameters)
        if asked.channel:
            await self.pipeline.acting.require(operation, token.owner, asked.channel)
        origin = Origin(f"mcp:{secrets.token_hex(16)}", token.owner, "", program=token.name)
        request_id = await self.pipeline.accept(operation, parameters, origin, direct=False)
        if request_id is None:
            raise invalid("Amend could not record this; please try again.")
        await self.pipeline.parts.start("prepare", request_id)
        request = await self._planned(request_id)
        if request.state in READING:
            raise invalid(f"Request {request.id} is still being read; ask for its status later.")
        if request.state != State.PLANNED:
            raise NotPlanned(answers.state(request, await self.pipeline.facts(request)))
        return answers.plan(request, await self.pipeline.facts(request))

    async def _planned(self, request_id: str) -> Request:
        end = asyncio.get_running_loop().time() + PLANNED_WITHIN
        while True:
            request = await self.pipeline.parts.store.request(request_id)
            if request is None:
                raise Denied([f"There is no request {request_id}."])
            if request.state not in READING or asyncio.get_running_loop().time() > end:
                return request
            await asyncio.sleep(LOOKS_EVERY)

    async def _propose(self, token: Token, asked: Propose) -> Answer:
        request = await self._own(token, asked.request_id)
        if not asked.channel.strip():
            raise invalid("In which channel? Give its id.")
        await self.pipeline.propose(request, asked.digest, asked.channel.strip(), asked.reason)
        request = await self._own(token, request.id)
        return answers.state(request, await self.pipeline.facts(request))

    # --- by name ----------------------------------------------------------------------------------

    def _operation(self, name: str) -> Operation:
        found = self.pipeline.parts.registry.by_name(name)
        if found is not None:
            return found
        known = [each.name for each in self.pipeline.parts.registry.operations]
        near = nearest(name, known, 2) or known
        raise invalid(f"There is no operation {name}. Try {' or '.join(near)}.")

    async def _own(self, token: Token, request_id: str) -> Request:
        """The owner's own request. Raises `Denied`; what is not theirs is not told of either."""
        request = await self.pipeline.looking.own(request_id, token.owner)
        if request is None:
            raise Denied([f"There is no request {request_id} of yours."])
        return request


def _misfit(error: ValidationError) -> str:
    told = [
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg'].lower()}"
        for each in error.errors()
    ]
    return f"{'; '.join(told)}."
