// Small conveniences; every page works without them.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Selecting an option applies the filter at once.
document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-submits]")) event.target.form.requestSubmit();
});

// The URL contains only the filters that are set.
document.addEventListener("formdata", (event) => {
  if (!event.target.matches("form.filters")) return;
  for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
});

// A pressed button shows that it is busy and cannot be pressed twice. Pages restored from history are reset.
document.addEventListener("submit", (event) => {
  if (event.target.matches("form[data-busy]")) event.submitter?.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
});

// The theme changes without a reload; the server stores it in a cookie.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-theme-form]")) return;
  event.preventDefault();
  const theme = event.submitter?.value ?? "";
  const body = new URLSearchParams(new FormData(form));
  body.set("theme", theme);
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  for (const button of form.querySelectorAll("button")) {
    if (button.value === theme) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  form.closest("details").open = false;
  await fetch(form.action, { method: "POST", body, redirect: "manual", keepalive: true }).catch(() => {});
});
