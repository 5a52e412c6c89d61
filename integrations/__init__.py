"""Vendors: one folder each, over one HTTP and one XML module; they do not know the bot."""
