"""Pictures of the running pages for the README: `python -m docs.screenshots`.

By default of the installation on this machine: the newest incident that healed, as the administrator. With
`--preview` of a made-up night, for which nothing has to run; the overview of the README is one, because on a fresh
installation there is little to see: `--preview --only incidents incidents-dark phone`. Needs Chromium.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ims.core.db.engine import Database
from ims.core.errors import NotFound
from ims.core.settings import load_settings
from ims.incidents.models import Incident
from tests.support.browser import Browser
from tests.support.history import PASSWORD
from tests.support.preview import preview

HERE = Path(__file__).parent
WIDTH, HEIGHT, PHONE = 1280, 900, 390
TALL = 960
"""Height of the pictures of one incident: enough of it, and a file that loads quickly."""


@contextmanager
def _place(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str, str]]:
    """Address, name, password, and the incident to show."""
    if arguments.preview:
        with preview() as address:
            yield address, "bob", PASSWORD, "INC-25"
        return
    settings = load_settings()
    password = (settings.state_dir / "secrets/admin_password").read_text().strip()
    yield settings.web_url, "admin", password, arguments.incident or _newest_healed(Database.of(settings))


def _newest_healed(database: Database) -> str:
    with database.begin() as session:
        healed = session.query(Incident).filter(Incident.healed_at.is_not(None), Incident.resolved_at.is_not(None))
        newest = healed.order_by(Incident.number.desc()).limit(1).one_or_none()
    database.dispose()
    if newest is None:
        raise NotFound("No incident has healed yet: run `make demo` first.")
    return f"INC-{newest.number}"


def sign_in(browser: Browser, address: str, name: str, password: str) -> None:
    """Sign in as a person would."""
    browser.open(f"{address}/sign-in")
    for field, value in (("name", name), ("password", password)):
        browser.evaluate(f"document.getElementById('{field}').value = {json.dumps(value)}")
    browser.evaluate("document.querySelector('form').requestSubmit()")
    browser.wait_for("document.querySelector('.tiles')")


def main() -> int:
    """Take the pictures; they replace the old ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preview", action="store_true", help="of a made-up night instead of the installation")
    parser.add_argument("--incident", help="the incident to show (default: the newest that healed)")
    parser.add_argument("--only", nargs="+", metavar="PICTURE", help="names of the pictures to take (default: all)")
    parser.add_argument("--out", type=Path, default=HERE / "images", help="directory of the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with _place(arguments) as (address, name, password, incident), Browser() as browser:
        browser.look(width=WIDTH, height=HEIGHT)
        sign_in(browser, address, name, password)
        for picture, path, width, height, dark in (
            ("incident", f"/incidents/{incident}", WIDTH, TALL, False),
            ("incident-dark", f"/incidents/{incident}", WIDTH, TALL, True),
            ("incidents", "/incidents", WIDTH, HEIGHT, False),
            ("incidents-dark", "/incidents", WIDTH, HEIGHT, True),
            ("phone", "/incidents", PHONE, HEIGHT, True),
        ):
            if arguments.only and picture not in arguments.only:
                continue
            browser.look(width=width, height=height, dark=dark)
            browser.open(f"{address}{path}")
            browser.wait_for("!document.getElementById('connection').hidden")
            browser.screenshot(arguments.out / f"{picture}.png", whole=False)
            sys.stdout.write(f"{arguments.out / picture}.png\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
