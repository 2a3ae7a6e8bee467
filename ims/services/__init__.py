"""Services and checks: what is watched and healed."""
