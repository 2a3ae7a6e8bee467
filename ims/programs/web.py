"""The program ims-web: pages for people and the REST API, assembled from the views of all areas."""

from datetime import timedelta

from flask import Flask
from flask_wtf import CSRFProtect

from ims.accounts.usecases import dummy_hash
from ims.api import documentation, rest
from ims.api.v1 import alerts as alert_api
from ims.api.v1 import audit as audit_api
from ims.api.v1 import dead_letters as dead_letter_api
from ims.api.v1 import decisions as decision_api
from ims.api.v1 import incidents as incident_api
from ims.api.v1 import maintenance as maintenance_api
from ims.api.v1 import me as own_api
from ims.api.v1 import runs as run_api
from ims.api.v1 import schedules as schedule_api
from ims.api.v1 import services as service_api
from ims.api.v1 import sources as source_api
from ims.api.v1 import summary as summary_api
from ims.api.v1 import teams as team_api
from ims.api.v1 import tokens as token_api
from ims.api.v1 import users as user_api
from ims.api.v1 import workers as worker_api
from ims.core.db.engine import Database, database_now
from ims.core.errors import ConfigurationFaulty
from ims.core.log import configure_logging
from ims.core.settings import Settings, load_settings
from ims.http import authentication, health, metrics, prefix, problems, requests, resources, security, senders
from ims.http.front.limits import MOST_FORM_BYTES
from ims.reports.statistics import count_by_status, read_means
from ims.runs.queries import count_active
from ims.web import rendering
from ims.web.pages import account as account_views
from ims.web.pages import dead_letters as alert_views
from ims.web.pages import incidents as incident_views
from ims.web.pages import oidc as oidc_views
from ims.web.pages import runs as run_views
from ims.web.pages.audit import audit
from ims.web.pages.oncall import oncall
from ims.web.pages.people import administration
from ims.web.pages.sources import sources
from ims.web.pages.workers import workers

PROGRAM = "ims-web"
GROUPS = (
    incident_api.api,
    summary_api.api,
    alert_api.api,
    run_api.api,
    decision_api.api,
    service_api.api,
    maintenance_api.api,
    schedule_api.api,
    dead_letter_api.api,
    source_api.api,
    worker_api.api,
    own_api.api,
    token_api.api,
    user_api.api,
    team_api.api,
    audit_api.api,
)
"""The REST API, in the order of its documentation."""


def create_app(settings: Settings | None = None, database: Database | None = None) -> Flask:
    """Build the application; without `settings`, as under Gunicorn, it loads them and sets up logging.

    Raises `ConfigurationFaulty`.
    """
    if settings is None:
        settings = load_settings()
        configure_logging(settings, PROGRAM)
    app = Flask("ims.web")
    _configure(app, settings)
    database = database or Database.of(settings)
    resources.provide(app.extensions, settings, database)
    # The order matters: first the request id, then authentication, then the form's CSRF token.
    requests.install(app, PROGRAM)
    metrics.observe(app)
    authentication.install(app)
    api = rest.blueprint(GROUPS)
    csrf = CSRFProtect(app)
    csrf.exempt(api)
    security.install(app)
    problems.install(app)
    rendering.install(app)
    dummy_hash()  # computed now: otherwise the first sign-in with an unknown name would take longer
    senders.provide(app.extensions, settings, database)
    oidc_views.provide(app.extensions, settings)
    app.extensions[health.STATISTICS] = metrics.DatabaseStatistics(lambda: _statistics(database))
    for blueprint in (
        health.health,
        account_views.accounts,
        oidc_views.oidc,
        incident_views.incidents,
        run_views.runs,
        alert_views.alerts,
        oncall,
        audit,
        administration,
        sources,
        workers,
        api,
        documentation.blueprint(GROUPS),
    ):
        app.register_blueprint(blueprint)
    prefix.install(app, settings)
    return app


def _statistics(database: Database) -> metrics.Statistics:
    with database.begin() as session:
        mtta, mttr = read_means(session, database_now(session))
        return metrics.Statistics(count_by_status(session), count_active(session), mtta.seconds, mttr.seconds)


def _configure(app: Flask, settings: Settings) -> None:
    if settings.secret_key is None:
        raise ConfigurationFaulty("IMS_SECRET_KEY_FILE must name the file with the key that signs sessions.")
    app.config.update(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        MAX_CONTENT_LENGTH=MOST_FORM_BYTES,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours),
        # Several installations on one host name must not sign each other out.
        SESSION_COOKIE_NAME=f"ims_session_{settings.web_port}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.web_url.startswith("https:"),
        SESSION_REFRESH_EACH_REQUEST=False,
        # A form that was left open overnight still works as long as its session does.
        WTF_CSRF_TIME_LIMIT=None,
        # Errors never propagate to the server, which would answer with a bare page: problems.py answers them.
        PROPAGATE_EXCEPTIONS=False,
        TRAP_HTTP_EXCEPTIONS=False,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
