"""Polling services whether they are healthy."""
