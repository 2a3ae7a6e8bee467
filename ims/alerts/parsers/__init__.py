"""One module for each payload: pure functions from a body to notifications."""
