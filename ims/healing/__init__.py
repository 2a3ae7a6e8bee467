"""Which alert may start which playbook: match, guards, decide, verify."""
