"""Retention: removes old data, whole incidents at a time, in small steps."""
