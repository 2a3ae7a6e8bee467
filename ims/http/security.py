"""Security headers: what browsers must not do with our pages."""

from flask import Flask, Response, request

# No inline script or style: a value that was rendered as markup by mistake still cannot run.
POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'"
)

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # CSRF protection checks the referrer over TLS; other sites get no referrer.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_YEAR_SECONDS = 365 * 24 * 3600


def install(app: Flask) -> None:
    """Add the headers to every response. Pages are not cached; versioned static files are cached for a year."""

    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        if request.endpoint == "static" and "v" in request.args and response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={_YEAR_SECONDS}, immutable"
        elif request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    app.after_request(protect)
