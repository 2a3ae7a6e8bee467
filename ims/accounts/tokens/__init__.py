"""Tokens of sources and of people, which share one lifecycle."""
