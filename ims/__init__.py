"""IMS: self-hosted incident management that heals."""
