"""The wire to Slack: server, socket, directory, manifest."""
