"""Symantec Control Compliance Suite: settings, wire form and client."""
