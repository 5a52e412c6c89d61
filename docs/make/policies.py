"""The rules that hold without a policy file."""

from __future__ import annotations

from bot.domain.policy import DEFAULT_RULES


def default_rules() -> str:
    """One line a rule, in the policy's own words."""
    return "\n".join(f"- {each.why[0].upper()}{each.why[1:]}" for each in DEFAULT_RULES)
