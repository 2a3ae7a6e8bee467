"""Accounts and teams: made, changed, disabled, listed."""
