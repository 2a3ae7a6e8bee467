"""Sources, the senders of alerts: their definitions, tokens, limits and state."""
