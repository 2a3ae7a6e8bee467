"""Parsers, one module for each payload format: pure functions from a body to notifications."""
