"""What senders report: notices, alerts, episodes, and how they become incidents."""
