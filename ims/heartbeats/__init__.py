"""Heartbeats: signals that IMS expects at regular intervals, and the alert when one is missed."""
