"""Who sends alerts: sources, their tokens, what they may, whether they are still there, and what they missed to say."""
