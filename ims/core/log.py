"""Structured logs: a constant event name, data as fields, ids bound once.

JSON when the output is not a terminal, readable text when it is. A value whose key looks like a secret's is always
redacted.
"""

import importlib
import logging
import re
import sys

from ims.core.settings import Settings
from ims.core.shown import visible_line


def _import_structlog() -> None:
    """Let structlog not find rich, which it imports for tracebacks that we do not use: 8 MB in every process."""
    found = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]
        if found is not None:
            sys.modules["rich"] = found


_import_structlog()

import structlog  # noqa: E402
from structlog.typing import EventDict, Processor, WrappedLogger  # noqa: E402

_SECRET_KEY = re.compile(r"passw|secret|token|authorization|cookie|api_?key", re.IGNORECASE)
_SECRET_IN_URL = re.compile(r"(?P<head>\w+://[^\s:/@]+):[^\s@/]+@")


def redact(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Redact secrets in a log entry: values whose key looks like a secret's, and passwords inside URLs."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = _SECRET_IN_URL.sub(r"\g<head>:[redacted]@", value)
    return event


def on_one_line(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Escape control characters in messages of libraries: the readable format does so only for the other fields."""
    if isinstance(message := event.get("event"), str):
        event["event"] = visible_line(message)
    return event


def configure_logging(settings: Settings, program: str) -> None:
    """Send all logs of this process to standard error, in the chosen format, with `program` in every entry."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    last: list[Processor] = (
        [structlog.processors.JSONRenderer()] if as_json else [on_one_line, structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Procrastinate logs every job's start and end at INFO; our own entries say the same with ids.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    # Alembic logs its dialect each time the schema's revision is read, which every readiness check does.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(program=program)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; pass `__name__`."""
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return log
