"""What goes out to Slack: messages by way of the outbox, notices, App Home."""
