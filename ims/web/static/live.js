// Keeps the page up to date: asks for the page again each second while it is visible, says what it has, and puts in
// place what changed. An answer 304 costs nothing. Rows that changed glow once; nothing moves under the pointer.
const EVERY = 1000;
const AFTER_FAILURE = 2000;
const PATIENCE = 8000;

const connection = document.getElementById("connection");
const lost = document.getElementById("lost");
// The page of a refused step has the address of the step; what can be asked for again is named in its head.
const address = document.querySelector("link[rel=canonical]")?.href ?? location.href;
const reload = () => (address === location.href ? location.reload() : location.replace(address));
const servers = new WeakMap(); // element → its markup as the server sent it, before times were made local
let tag = null;
let lastHeard = new Date();

for (const element of document.querySelectorAll("[data-region], [data-keyed] > *")) {
  servers.set(element, element.outerHTML);
}

function told(element) {
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

// Rows keep their element as long as they are the same incident or event.
function patch(list, fresh) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const moves = keys(list).join() !== keys(fresh).join();
  const isUnderPointer = matchMedia("(hover: hover)").matches && list.matches(":hover") && !list.matches(".timeline");
  for (const child of [...fresh.children]) {
    const old = known.get(child.dataset.key);
    if (old && told(old) !== child.outerHTML) {
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

// Tokens of forms are new with each answer and never a change.
const content = (markup) => markup.replaceAll(/name="csrf_token" value="[^"]*"/g, "");
const regions = (root) => new Map([...root.querySelectorAll("[data-region]")].map((r) => [r.dataset.region, r]));
const listIn = (region) => (region.matches("[data-keyed]") ? region : region.querySelector("[data-keyed]"));

// Puts a fresh page in place; false if something has to wait, for the pointer or for a form that is in use.
function apply(page) {
  const here = regions(document);
  const there = regions(page);
  if ([...here.keys()].join() !== [...there.keys()].join()) {
    reload(); // a part came or went, such as the notification that a person is needed
    return true;
  }
  let isComplete = true;
  document.title = page.title;
  for (const [name, fresh] of there) {
    const old = here.get(name);
    if (listIn(old) && listIn(fresh)) {
      isComplete = !patch(listIn(old), listIn(fresh)) && isComplete;
    } else if (content(told(old)) !== content(fresh.outerHTML)) {
      if (isBusy(old)) isComplete = false;
      else replace(old, document.importNode(fresh, true), false);
    }
  }
  document.dispatchEvent(new Event("ims:updated"));
  return isComplete;
}

function say(isAlive, words = "") {
  connection.hidden = false;
  connection.dataset.state = isAlive ? "live" : "lost";
  connection.textContent = isAlive ? "live" : "lost";
  lost.hidden = isAlive;
  if (lost.textContent !== words) lost.textContent = words;
}

async function ask() {
  const headers = { "X-IMS-Live": "1" };
  if (tag) headers["If-None-Match"] = tag;
  const answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (answer.status === 401) {
    reload(); // signed out: the server sends to the form and back here
    return;
  }
  if (answer.status !== 304) {
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // What could not be shown yet is asked for again.
    tag = apply(page) ? answer.headers.get("ETag") : null;
  }
  lastHeard = new Date();
  say(true);
}

async function watch() {
  let pause = EVERY;
  if (!document.hidden) {
    try {
      await ask();
    } catch {
      say(false, `No connection. What you see is from ${lastHeard.toLocaleTimeString()}; trying again.`);
      pause = AFTER_FAILURE;
    }
  }
  setTimeout(watch, pause);
}

document.addEventListener("visibilitychange", () => document.hidden || ask().catch(() => {}));
setTimeout(watch, EVERY);
