"""An emulated Slack workspace that is strict where Slack is strict."""

from deploy.sandbox.slack.server import SlackSandbox

__all__ = ["SlackSandbox"]
