"""One module for each sender's payload: pure functions from a body to notices."""
