"""Tokens of sources and of people: one life for both."""
