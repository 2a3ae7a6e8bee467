// Keeps the page up to date: polls it each second while it is visible, sending the ETag of the version it has, and
// replaces what changed. A 304 renders nothing. Changed rows glow once; nothing moves under the pointer.
const EVERY = 1000;
const AFTER_FAILURE = 2000;
const PATIENCE = 8000;

const connection = document.getElementById("connection");
const lost = document.getElementById("lost");
// After a rejected action the page has the URL of that action; the canonical link names the URL to poll.
const address = document.querySelector("link[rel=canonical]")?.href ?? location.href;
const reload = () => (address === location.href ? location.reload() : location.replace(address));
const servers = new WeakMap(); // element → its markup as the server sent it, before times were made local
let tag = null;
let lastHeard = new Date();

for (const element of document.querySelectorAll("[data-region], [data-keyed] > *")) {
  servers.set(element, element.outerHTML);
}

function markupOf(element) {
  return servers.get(element) ?? element.outerHTML;
}

function glow(element) {
  element.classList.remove("glow");
  void element.offsetWidth;
  element.classList.add("glow");
}

function replace(old, fresh, changed) {
  const markup = fresh.outerHTML;
  const open = new Set([...old.querySelectorAll("details[open][id]")].map((details) => details.id));
  const shut = new Set([...old.querySelectorAll("details:not([open])[id]")].map((details) => details.id));
  old.replaceWith(fresh);
  for (const details of fresh.querySelectorAll("details[id]")) {
    if (open.has(details.id)) details.open = true;
    if (shut.has(details.id)) details.open = false;
  }
  servers.set(fresh, markup);
  for (const child of fresh.querySelectorAll("[data-keyed] > *")) servers.set(child, child.outerHTML);
  if (changed) glow(fresh);
}

const keys = (list) => [...list.children].map((child) => child.dataset.key);

// A row keeps its element as long as it shows the same incident or event.
function patch(list, fresh) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const moves = keys(list).join() !== keys(fresh).join();
  const isUnderPointer = matchMedia("(hover: hover)").matches && list.matches(":hover") && !list.matches(".timeline");
  for (const child of [...fresh.children]) {
    const old = known.get(child.dataset.key);
    if (old && markupOf(old) !== child.outerHTML) {
      replace(old, child.cloneNode(true), old.dataset.version !== child.dataset.version);
    }
  }
  if (!moves || isUnderPointer) return moves;
  const now = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const wanted = [...fresh.children].map((child) => {
    const present = now.get(child.dataset.key);
    if (present) return present;
    const added = child.cloneNode(true);
    servers.set(added, added.outerHTML);
    glow(added);
    return added;
  });
  list.replaceChildren(...wanted);
  return false;
}

function isBusy(region) {
  return region.contains(document.activeElement) && region.querySelector("input, textarea, details[open]")
    || region.querySelector("details.menu[open], [aria-busy]");
}

// CSRF tokens differ in each response and do not count as a change.
const content = (markup) => markup.replaceAll(/name="csrf_token" value="[^"]*"/g, "");
const regions = (root) => new Map([...root.querySelectorAll("[data-region]")].map((r) => [r.dataset.region, r]));
const listIn = (region) => (region.matches("[data-keyed]") ? region : region.querySelector("[data-keyed]"));

// Applies a new version of the page; false if an update has to wait because of the pointer or a form in use.
function apply(page) {
  const here = regions(document);
  const there = regions(page);
  if ([...here.keys()].join() !== [...there.keys()].join()) {
    reload(); // a region appeared or disappeared, such as the banner that an incident needs attention
    return true;
  }
  let isComplete = true;
  document.title = page.title;
  for (const [name, fresh] of there) {
    const old = here.get(name);
    if (listIn(old) && listIn(fresh)) {
      isComplete = !patch(listIn(old), listIn(fresh)) && isComplete;
    } else if (content(markupOf(old)) !== content(fresh.outerHTML)) {
      if (isBusy(old)) isComplete = false;
      else replace(old, document.importNode(fresh, true), false);
    }
  }
  document.dispatchEvent(new Event("ims:updated"));
  return isComplete;
}

function showConnection(isAlive, message = "") {
  connection.hidden = false;
  connection.dataset.state = isAlive ? "live" : "lost";
  connection.textContent = isAlive ? "live" : "lost";
  lost.hidden = isAlive;
  if (lost.textContent !== message) lost.textContent = message;
}

async function poll() {
  const headers = { "X-IMS-Live": "1" };
  if (tag) headers["If-None-Match"] = tag;
  const answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (answer.status === 401) {
    reload(); // signed out: the server redirects to the sign-in form and back
    return;
  }
  if (answer.status !== 304) {
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // Without a tag the next poll fetches the whole page, with the updates that had to wait.
    tag = apply(page) ? answer.headers.get("ETag") : null;
  }
  lastHeard = new Date();
  showConnection(true);
}

async function watch() {
  let pause = EVERY;
  if (!document.hidden) {
    try {
      await poll();
    } catch {
      showConnection(false, `Connection lost. This page is from ${lastHeard.toLocaleTimeString()}; retrying.`);
      pause = AFTER_FAILURE;
    }
  }
  setTimeout(watch, pause);
}

document.addEventListener("visibilitychange", () => document.hidden || poll().catch(() => {}));
setTimeout(watch, EVERY);
