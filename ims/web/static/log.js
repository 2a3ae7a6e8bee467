// The log of a run: appends new lines each second while the run is active, and follows them unless the user scrolls up.
const log = document.getElementById("log");
const follow = document.getElementById("follow");
const toFailed = document.getElementById("to-failed");
let after = log.dataset.after;
let isActive = log.dataset.active === "yes";

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 24;

function showFailed() {
  const failed = log.querySelector(".line.failed");
  toFailed.hidden = !failed;
  if (failed) toFailed.href = `#${failed.id}`;
}

function toEnd() {
  if (follow.checked) log.scrollTop = log.scrollHeight;
}

async function read() {
  const address = new URL(log.dataset.log, location.href);
  address.searchParams.set("after", after);
  const answer = await fetch(address, { headers: { "X-IMS-Live": "1" }, cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  const lines = await answer.text();
  const cursor = answer.headers.get("X-IMS-Cursor");
  const hasMore = cursor !== after;
  after = cursor;
  if (lines.trim()) {
    document.getElementById("log-empty")?.remove();
    log.insertAdjacentHTML("beforeend", lines); // markup from our own server, with all text escaped
    showFailed();
    toEnd();
  }
  // The last lines may arrive together with the end of the run: poll once more.
  isActive = answer.headers.get("X-IMS-Active") === "yes" || hasMore;
}

async function watch() {
  if (!document.hidden) await read().catch(() => {});
  if (isActive) setTimeout(watch, 1000);
}

toFailed.addEventListener("click", (event) => {
  event.preventDefault();
  follow.checked = false;
  log.querySelector(".line.failed")?.scrollIntoView({ block: "center" });
});
log.addEventListener("scroll", () => {
  if (isActive) follow.checked = isAtEnd();
});
follow.addEventListener("change", toEnd);

showFailed();
if (isActive) {
  document.getElementById("follow-label").hidden = false;
  toEnd();
  watch();
}
