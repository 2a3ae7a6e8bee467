"""The worker program: takes jobs, runs playbooks, sweeps what others left behind."""
