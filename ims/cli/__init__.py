"""The command ims."""
