"""The one way of every request: accept, plan, decide, approve, hand to the run."""

from bot.pipeline.parts import ACCEPT_WITHIN, Origin, Parts
from bot.pipeline.pipeline import Pipeline, reversible

__all__ = ["ACCEPT_WITHIN", "Origin", "Parts", "Pipeline", "reversible"]
