"""What the front counts. Imported in a serving process only: see `ims.core.serving`."""

from prometheus_client import Counter

CONNECTIONS_CLOSED = Counter(
    "ims_http_connections_closed", "Connections that a limit of the front ended, by the limit.", ["limit"]
)
