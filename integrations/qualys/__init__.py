"""Qualys remediation tickets: settings, models, protocol (pure) and client (thin)."""
