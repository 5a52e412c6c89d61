"""Acme Doors: a vendor where each person signs in by OAuth, whole in one folder."""
