"""The one way of every request: accept, plan, decide, approve, hand to the run."""

from bot.pipeline import bounds
from bot.pipeline.parts import Origin, Parts
from bot.pipeline.pipeline import Pipeline

__all__ = ["Origin", "Parts", "Pipeline", "bounds"]
