"""The worker program: takes jobs, runs playbooks, cleans up after dead workers."""
