"""Cortex Xpanse: settings, wire form and client."""
