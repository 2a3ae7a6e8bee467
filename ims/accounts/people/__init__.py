"""Creating, changing, disabling and listing accounts and teams."""
