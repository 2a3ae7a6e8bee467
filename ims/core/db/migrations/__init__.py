"""Migrations: one step, `ims admin migrate`, before any program starts."""
