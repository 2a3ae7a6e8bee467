"""Alert notifications from senders: how they become alerts, episodes and incidents."""
