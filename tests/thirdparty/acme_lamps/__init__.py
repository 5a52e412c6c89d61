"""Acme Lamps: a vendor that Amend has never heard of, whole in one folder."""
