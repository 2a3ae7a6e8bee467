"""Plumbing that all views share: authentication, error responses, health, metrics, request ids."""
