"""Metrics of the HTTP front end. Import them in a serving process only: see `ims.core.serving`."""

from prometheus_client import Counter

CONNECTIONS_CLOSED = Counter(
    "ims_http_connections_closed", "Connections closed because of a limit, by limit.", ["limit"]
)
