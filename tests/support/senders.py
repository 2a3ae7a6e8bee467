"""A sender of alerts that keeps its connection, as Alertmanager does."""

import http.client
from dataclasses import dataclass, field


@dataclass
class Sender:
    """Posts one body after the other; for one thread."""

    port: int
    token: str
    timeout: float = 30
    """Seconds to wait for an answer."""
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def post(self, body: bytes, path: str = "/alerts") -> int | None:
        """The status of the answer; None when there was none, and then only the receiver knows what it took."""
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        self._connection = connection
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        try:
            connection.request("POST", path, body, headers)
            with connection.getresponse() as answer:
                answer.read()
                return answer.status
        except (OSError, http.client.HTTPException):
            self.close()
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
