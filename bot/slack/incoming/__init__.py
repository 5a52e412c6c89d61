"""What comes in from Slack: listeners, and what each command, click and submission asks for."""
