"""What senders report: notifications, alerts, episodes, and how they become incidents."""
