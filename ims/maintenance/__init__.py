"""Maintenance windows: times in which IMS records alerts, but neither heals nor notifies anyone."""
