"""Metrics of the webhook."""

from prometheus_client import Counter

REQUESTS_REFUSED = Counter("webhook_requests_refused", "Requests answered by an error, by status.", ["status"])
