"""The workers of an installation: their heartbeats, their leader, and the pools they serve."""
