"""Asking services whether they are healthy."""
