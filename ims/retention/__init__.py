"""What is old goes: whole incidents at a time, in small steps."""
