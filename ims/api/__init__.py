"""The REST API: how operations are declared, served and documented."""
