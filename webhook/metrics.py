"""Metrics of the webhook."""

from prometheus_client import Counter

REQUESTS_REFUSED = Counter("webhook_requests_refused", "Requests answered with an error, by status code.", ["status"])
