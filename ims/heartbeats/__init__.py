"""Heartbeats: signs of life that are expected, and the alert when one does not come."""
