"""Who may: people, teams' rights and tokens."""
