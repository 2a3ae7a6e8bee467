"""The steps by which the webhook accepts alerts, the same for a request that holds a thread and for one without.

Most requests bring a few alerts with a token that was seen a moment ago. Those are read on the loop of the process,
committed together by one thread, and answered on the loop again: no thread of theirs waits for PostgreSQL. A request
that would keep the loop busy, with an unknown token or a large body, goes to the Flask application and its threads.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ims.alerts.bodies import response_body
from ims.alerts.charging import parse_charged
from ims.alerts.metrics import count_request
from ims.alerts.notifications import Parsed
from ims.alerts.parsers.formats import ALERT_PATHS, Parser, event_in, parser_for
from ims.alerts.parsers.generic import NothingReadable
from ims.core.db.engine import Database
from ims.core.errors import IMSError
from ims.core.json_body import read_json
from ims.core.settings import Settings
from ims.http.front import messages
from ims.http.front.protocol import Connection
from ims.policy.ready_formats import READY_FORMATS
from ims.sources.admission import Admission
from ims.sources.authentication import Tokens
from ims.sources.definition import PATHS, SourceKind
from ims.sources.tokens import Sender
from webhook import problems
from webhook.committer import Committer, Request

MOST_ON_THE_LOOP: Final = 32 * 1024
"""Bytes of a body that are read on the loop. Some 30 alerts; reading them takes about a millisecond."""
_PATHS: Final = {path.encode(): path for path in ALERT_PATHS}
_EVENTS: Final = PATHS[SourceKind.CLOUDEVENTS]
_SCRIPTS: Final = (SourceKind.GENERIC, SourceKind.CLOUDEVENTS)
"""Senders of these kinds look at the status of an answer, if at anything. Alertmanager would only drop what is 4xx."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A sender that may send, and how its body is parsed; nothing of the body was read yet."""

    path: str
    sender: Sender
    parse: Parser
    began: float


@dataclass(slots=True)
class Intake:
    """What the requests of a process share."""

    settings: Settings
    database: Database
    tokens: Tokens = field(init=False)
    committer: Committer = field(init=False)
    admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.committer = Tokens(self.database), Committer(self.database)
        self.admission = Admission(self.settings.trusted_networks)

    def admit(self, path: str, sender: Sender, peer: str | None, forwarded: Sequence[str]) -> Admitted:
        """Raises `AddressRefused`, `TooFast`, `KindDoesNotFit` and `FormatMissing`."""
        began = time.monotonic()
        self.admission.let_in(sender, peer, forwarded)
        return Admitted(path, sender, parser_for(path, sender, self.committer.policy), began)

    def read(
        self, admitted: Admitted, body: bytes, media_type: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> Request:
        """The alerts in a body, to be committed; headers matter for CloudEvents. Raises `Invalid` and `TooLarge`.

        Never blocks: the time was asked for when the token was looked up, and is again with each commit.
        """
        name = admitted.sender.name

        def parse() -> Parsed:
            given = event_in(admitted.path, media_type, headers, read_json(body))
            return admitted.parse(given, name, self.database.last_known_now())

        return Request(name, parse_charged(self.admission, admitted.sender, parse), len(body))

    @staticmethod
    def answer(admitted: Admitted, committed: Request) -> dict[str, Any]:
        """The body of the response. Raises `NothingReadable` for a script of whose body nothing could be parsed."""
        count_request(committed.parsed, time.monotonic() - admitted.began)
        if committed.parsed.is_refused and admitted.sender.kind in _SCRIPTS:
            raise NothingReadable(committed.parsed)
        return response_body(committed.source, committed.parsed, committed.results)

    def on_the_loop(self, request: messages.Request, connection: Connection) -> bool:
        """See `ims.http.front.worker.Direct`."""
        path = _PATHS.get(request.target)
        if path is None or request.method != b"POST" or request.is_too_large or len(request.body) > MOST_ON_THE_LOOP:
            return False
        sender = self.tokens.remembered(request.header(b"authorization"))
        # Binary mode needs every header, and a format of the policy may need the database.
        if sender is None or path == _EVENTS or (sender.format is not None and sender.format not in READY_FORMATS):
            return False
        try:
            admitted = self.admit(path, sender, request.peer, request.all_of(b"x-forwarded-for"))
            waiting = self.read(admitted, request.body)
        except IMSError as error:
            connection.answer(request, *problems.of_error(error))
            return True
        waiting.done = _Answering(connection, request, admitted)
        self.committer.commit_later(waiting)
        return True


@dataclass(slots=True)
class _Answering:
    """Answers a request whose commit has ended, on the loop."""

    connection: Connection
    request: messages.Request
    admitted: Admitted

    def __call__(self, committed: Request) -> None:
        if committed.error is not None:
            self.connection.answer(self.request, *problems.of_error(committed.error))
            return
        try:
            body = problems.as_json(Intake.answer(self.admitted, committed))
        except NothingReadable as error:
            self.connection.answer(self.request, *problems.of_error(error))
        else:
            self.connection.answer(self.request, 202, messages.JSON, body)
