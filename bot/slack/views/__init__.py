"""Pure: what people see, as Slack's blocks."""
