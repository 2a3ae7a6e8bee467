"""What people and automation work on: incidents and their timelines."""
