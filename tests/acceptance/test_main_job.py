"""The main job on one machine: a killed service heals itself and leaves an incident record.

The tests run in the order in which they stand, each on the state that the one before left; each also says by itself
what must be true.
"""

import http.cookiejar
import json
import re
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from ims.incidents.models import EventKind, Incident, Status, TimelineEvent
from ims.runs.models import Run, RunOutcome
from tests.support.installation import ROOT, Installation, fetch
from tests.support.postgres import free_port

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(480)]

README = (ROOT / "README.md").read_text()


def eventually(what: Callable[[], bool], *, within: float = 60, saying: str) -> None:
    """Wait until something is true; fails with a sentence when it does not become so."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, saying
        time.sleep(0.3)


def incidents(installation: Installation, service: str) -> list[Incident]:
    database = installation.database
    with database.begin() as session:
        found = list(session.scalars(select(Incident).where(Incident.service == service).order_by(Incident.number)))
    database.dispose()
    return found


def incident_of(installation: Installation, output: str) -> Incident:
    """The incident that the demo ended with."""
    (number,) = re.findall(r"/incidents/INC-(\d+)", output)
    return next(one for one in incidents(installation, "ims-web") if one.number == int(number))


def runs(installation: Installation, incident: Incident) -> list[Run]:
    database = installation.database
    with database.begin() as session:
        found = list(session.scalars(select(Run).where(Run.incident_id == incident.id).order_by(Run.number)))
    database.dispose()
    return found


def timeline(installation: Installation, incident: Incident) -> list[TimelineEvent]:
    database = installation.database
    with database.begin() as session:
        found = list(
            session.scalars(
                select(TimelineEvent).where(TimelineEvent.incident_id == incident.id).order_by(TimelineEvent.seq)
            )
        )
    database.dispose()
    return found


def test_everything_is_ready_and_listens_on_loopback_only(installation: Installation) -> None:
    for port in ("ims_web_port", "webhook_port", "worker_metrics_port"):
        assert fetch(installation.url(port, "/health/ready"))[0] == 200
    ours = {item.laddr.ip for process in installation.processes() for item in process.net_connections("tcp")
            if item.status == psutil.CONN_LISTEN}  # fmt: skip
    assert ours == {"127.0.0.1"}


def test_secrets_are_readable_by_their_owner_only_and_never_on_a_command_line(installation: Installation) -> None:
    secrets = {path: path.read_text().strip() for path in (installation.state / "secrets").iterdir()}
    assert {path.name for path in secrets} >= {"admin_password", "alertmanager_token"}
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    command_lines = [" ".join(process.cmdline()) for process in installation.processes()]
    logs = [path.read_text(errors="replace") for path in installation.state.rglob("*.log")]
    for secret in secrets.values():
        assert not [text for text in command_lines + logs if secret in text]


def test_a_second_converge_changes_nothing(installation: Installation) -> None:
    recap = installation.converge()
    assert recap
    assert {(figures["changed"], figures["failed"]) for figures in recap.values()} == {(0, 0)}


def test_a_killed_web_process_heals_itself_and_the_demo_tells_it(installation: Installation) -> None:
    output = installation.run("make", "demo").stdout
    seconds = [float(figure) for figure in re.findall(r"(?m)^\s*([\d.]+) s  ", output)]
    assert len(seconds) == 9, output

    incident = incident_of(installation, output)
    assert incident.status == Status.RESOLVED
    assert incident.healed_at
    assert incident.attention_at is None
    (run,) = runs(installation, incident)
    assert (run.outcome, run.target, run.rc) == (RunOutcome.HEALED, "ims-web", 0)
    kinds = [event.kind for event in timeline(installation, incident)]
    milestones = [EventKind.INCIDENT_OPENED, EventKind.RULE_ALLOWED, EventKind.RUN_STARTED, EventKind.RUN_FINISHED,
             EventKind.VERIFICATION_PASSED]  # fmt: skip
    assert [kind for kind in kinds if kind in milestones] == milestones
    # The alert's resolve may arrive before the verification has seen enough: the timeline has both, in either order.
    assert kinds.count(EventKind.RESOLVED) == kinds.count(EventKind.ALERT_RESOLVED) == 1


def test_the_demo_may_be_repeated_and_leaves_a_second_incident(installation: Installation) -> None:
    before = incidents(installation, "ims-web")
    second = incident_of(installation, installation.run("make", "demo").stdout)
    assert second.recurrence_of == before[-1].id


def test_the_pages_show_the_incident_its_timeline_and_the_run_s_log(installation: Installation) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(path: str) -> str:
        return str(browser.open(installation.url("ims_web_port", path), timeout=10).read().decode())

    form = get("/incidents")
    assert "INC-1" not in form, "the list answers without signing in"
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert token
    action = re.search(r'<form[^>]*action="([^"]*sign-in[^"]*)"', form)
    assert action
    fields = {"name": "admin", "password": installation.secret("admin_password"), "csrf_token": token[1]}
    url = urllib.parse.urljoin(installation.url("ims_web_port", "/"), action[1])
    browser.open(url, data=urllib.parse.urlencode(fields).encode(), timeout=10)
    assert "INC-1" in get("/incidents")
    page = get("/incidents/INC-1")
    assert "restart-a-dead-service" in page
    assert "R-1" in page
    assert "restart_service" in get("/runs/R-1") or "PLAY" in get("/runs/R-1")


def test_metrics_tell_what_happened(installation: Installation) -> None:
    def figure(port: str, sample: str) -> float:
        status, text = fetch(installation.url(port, "/metrics"))
        assert status == 200, text
        return float(re.search(rf"(?m)^{re.escape(sample)} (\S+)$", text)[1])  # type: ignore[index]

    assert figure("webhook_port", 'alerts_received_total{severity="critical"}') >= 2
    assert figure("worker_metrics_port", 'ims_runs_total{outcome="healed"}') >= 2
    assert figure("ims_web_port", 'incidents_by_status{status="resolved"}') >= 2
    down = fetch(installation.url("prometheus_port", "/api/v1/targets?state=active"))[1]
    assert {target["health"] for target in down["data"]["activeTargets"]} == {"up"}


def payload(fingerprint: str, service: str, started: datetime, **labels: str) -> dict[str, object]:
    """A notification as Alertmanager 0.25 sends it."""
    common = {"alertname": "ServiceDown", "service": service, "severity": "critical"} | labels
    alert = {
        "status": "firing", "labels": common, "annotations": {"summary": f"{service} is down"},
        "startsAt": started.isoformat(), "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://localhost/graph", "fingerprint": fingerprint,
    }  # fmt: skip
    return {
        "version": "4", "groupKey": '{}:{alertname="ServiceDown"}', "truncatedAlerts": 0, "status": "firing",
        "receiver": "ims", "groupLabels": {"alertname": "ServiceDown"}, "commonLabels": common, "commonAnnotations": {},
        "externalURL": "http://localhost", "alerts": [alert],
    }  # fmt: skip


@pytest.fixture(scope="module")
def shop(installation: Installation) -> int:
    """The README's worked example, done by the README's own text; only the port is a free one. Returns the port."""
    port = free_port()
    readme = README.replace("8090", str(port))
    for kind, name, block in re.findall(r"<!-- (file|insert): (.+?) -->\n```yaml\n(.*?)```", readme, re.DOTALL):
        if kind == "file":
            installation.inventory_file(name, block)
        else:
            path, _, after = name.partition(" after ")
            installation.edit(path, {rf"(?m)^{re.escape(after)}\n": f"{after}\n{block}"})
    assert "rules=2" in installation.run("bin/ims", "policy", "check").stdout
    installation.run("make", "up")
    eventually(lambda: is_up(port), saying="the shop was not started")
    return port


def is_up(port: int) -> bool:
    try:
        return fetch(f"http://127.0.0.1:{port}/", timeout=2)[0] == 200
    except OSError:
        return False


def test_a_program_that_is_not_ours_is_watched_killed_and_healed(installation: Installation, shop: int) -> None:
    (victim,) = [process for process in installation.processes() if str(shop) in process.cmdline()]
    victim.send_signal(signal.SIGKILL)
    eventually(
        lambda: [i.status for i in incidents(installation, "shop")] == [Status.RESOLVED],
        within=90, saying="the shop's incident was not resolved",
    )  # fmt: skip
    (incident,) = incidents(installation, "shop")
    # The alert's resolve may arrive before the verification has seen enough.
    eventually(
        lambda: runs(installation, incident)[0].outcome == RunOutcome.HEALED, saying="the run did not end healed"
    )
    (run,) = runs(installation, incident)
    assert (run.rule, run.target) == ("restart-the-shop", "shop")
    assert incident.team == "shop"
    assert is_up(shop)


def test_one_notification_posted_twenty_times_at_once_and_again_later_is_one_incident_and_one_run(
    installation: Installation, shop: int
) -> None:
    token, url = installation.secret("alertmanager_token"), installation.url("webhook_port", "/alerts")
    before = len(incidents(installation, "shop"))
    started = datetime.now(UTC)
    body = payload("a1b2c3d4e5f60718", "shop", started)
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: fetch(url, body=body, token=token)[0], range(20)))
    assert statuses == [202] * 20
    assert fetch(url, body=payload("a1b2c3d4e5f60718", "shop", started + timedelta(seconds=11)), token=token)[0] == 202
    eventually(
        lambda: [run.outcome for run in runs(installation, incidents(installation, "shop")[-1])] == [RunOutcome.HEALED],
        saying="the one run did not end healed",
    )
    time.sleep(3)
    assert len(incidents(installation, "shop")) == before + 1
    assert len(runs(installation, incidents(installation, "shop")[-1])) == 1
    # The sender says that it is over.
    over = payload("a1b2c3d4e5f60718", "shop", started)
    over["alerts"][0] |= {"status": "resolved", "endsAt": (datetime.now(UTC) + timedelta(seconds=15)).isoformat()}  # type: ignore[index]
    assert fetch(url, body=over, token=token)[0] == 202
    eventually(
        lambda: incidents(installation, "shop")[-1].status == Status.RESOLVED, saying="the resolve was not taken"
    )


def test_a_template_anywhere_in_the_payload_is_never_evaluated_and_healing_still_works(
    installation: Installation, shop: int, tmp_path: Path
) -> None:
    touched = Path("/tmp") / f"ims-touched-{shop}"  # any account may write there
    evil = f"{{{{ lookup('pipe', 'touch {touched}') }}}}"
    body = payload("ffffffff00000001", "shop", datetime.now(UTC), note=evil, instance=evil, job="!unsafe x")
    body |= {"externalURL": evil, "receiver": evil, "groupKey": evil, "commonAnnotations": {evil: evil}, evil: evil}
    body["alerts"][0]["annotations"] |= {"description": evil, evil: evil}  # type: ignore[index]
    body["alerts"][0] |= {"generatorURL": evil, evil: {"__ansible_unsafe": evil}}  # type: ignore[index]
    body["alerts"][0]["labels"] |= {"__ansible_vault": evil, "ansible_connection": evil}  # type: ignore[index]
    token, url = installation.secret("alertmanager_token"), installation.url("webhook_port", "/alerts")
    assert fetch(url, body=body, token=token)[0] == 202
    eventually(
        lambda: [run.outcome for run in runs(installation, incidents(installation, "shop")[-1])] == [RunOutcome.HEALED],
        saying="the healing did not work",
    )
    assert not touched.exists()
    body["alerts"][0] |= {"status": "resolved", "endsAt": (datetime.now(UTC) + timedelta(seconds=15)).isoformat()}  # type: ignore[index]
    assert fetch(url, body=body, token=token)[0] == 202


@pytest.mark.parametrize("victim", ["worker", "webhook", "postgresql"])
def test_what_the_platform_restarts_comes_back_by_itself(installation: Installation, victim: str) -> None:
    control = installation.state / "venv/bin/supervisorctl"
    configuration = installation.state / "supervisor/supervisord.conf"
    pid = int(installation.run(str(control), "-c", str(configuration), "pid", victim).stdout)
    psutil.Process(pid).kill()
    eventually(lambda: not psutil.pid_exists(pid), saying="it was not killed")

    def all_ready() -> bool:
        try:
            return all(
                fetch(installation.url(port, "/health/ready"), timeout=2)[0] == 200
                for port in ("ims_web_port", "webhook_port", "worker_metrics_port")
            )
        except OSError:
            return False

    eventually(all_ready, saying=f"not everything was ready again after {victim} was killed")


def test_a_faulty_policy_never_replaces_a_good_one(installation: Installation, shop: int) -> None:
    path = "inventory/local/group_vars/all/healing.yml"
    good = (installation.checkout / path).read_text()
    shown = json.loads(installation.run("bin/ims", "admin", "policy", "show", "--json").stdout)
    installation.edit(path, {r"    attempts: 2\n": "    attempts: many\n"})
    try:
        checked = installation.run("bin/ims", "policy", "check", check=False)
        assert checked.returncode == 1
        assert re.search(r"healing\.yml:\d+", checked.stdout)
        assert installation.run("bin/ims", "admin", "policy", "load", check=False).returncode == 1
        assert json.loads(installation.run("bin/ims", "admin", "policy", "show", "--json").stdout) == shown
    finally:
        (installation.checkout / path).write_text(good)


def test_after_down_nothing_is_left_and_up_brings_the_incidents_back(installation: Installation, shop: int) -> None:
    database = installation.database
    with database.begin() as session:
        before = session.scalar(select(func.count()).select_from(Incident))
    database.dispose()
    installation.run("make", "down")
    assert installation.processes() == []
    assert installation.listening() == set()
    installation.run("make", "up")
    database = installation.database
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(Incident)) == before
    database.dispose()
