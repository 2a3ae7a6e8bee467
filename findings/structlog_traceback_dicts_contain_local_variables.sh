#!/usr/bin/env bash
# structlog's dict_tracebacks writes local variables into the log.
#
# Versions: structlog 26.1.0.
# Expected: a traceback in a log is what Python prints: files, lines, the error.
# Seen:     each frame has `locals` with the representation of each variable, a password among them. The processor has to be
#           built by hand with ExceptionDictTransformer(show_locals=False) to leave them out.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check structlog==26.1.0

cat >"$work/try.py" <<'EOF'
import io
import sys

import structlog


def logged(tracebacks) -> str:
    out = io.StringIO()
    structlog.configure(
        processors=[tracebacks, structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(out)
    )
    password = "not-for-the-log"
    try:
        raise ConnectionError(len(password))
    except ConnectionError:
        structlog.get_logger().exception("sign_in_failed")
    return out.getvalue()


SECRET = "not-for-" + "the-log"
by_default = SECRET in logged(structlog.processors.dict_tracebacks)
transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
without = SECRET in logged(structlog.processors.ExceptionRenderer(transformer))
print(f"the password is in the log: {by_default}; with show_locals=False: {without}")
if (by_default, without) != (True, False):
    sys.exit("CHANGED")
print("as described")
EOF
"$work/venv/bin/python" "$work/try.py"
