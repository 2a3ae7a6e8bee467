"""Running playbooks: the only place that knows ansible-runner."""
