"""The workers of an installation: who lives, who leads, which pools they serve."""
