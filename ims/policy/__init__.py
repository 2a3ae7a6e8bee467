"""What may be healed and how: the policy, read from the Ansible repository."""
