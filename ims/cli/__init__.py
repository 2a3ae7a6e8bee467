"""The command `ims`."""
