"""Processes of runs: started, watched, ended, and nothing of them left behind."""
