"""Migrations: one step, `ims migrate`, before any program starts."""
