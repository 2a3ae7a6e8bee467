"""Probes: checks over HTTP whether a service is healthy."""
