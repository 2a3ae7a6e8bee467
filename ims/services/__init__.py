"""Services: what the active policy defines, which IMS watches and heals."""
