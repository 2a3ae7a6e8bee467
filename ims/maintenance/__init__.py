"""Maintenance windows: times in which alerts are recorded, but nobody is told and nothing is healed."""
