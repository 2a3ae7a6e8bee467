#!/usr/bin/env bash
# Morphing an element with the very HTML it was made from erases typed text, unticks boxes and closes details.
#
# Versions: idiomorph 0.8.0 in jsdom 26.1.0 (Node.js 20 or newer).
# Expected: same HTML, nothing to do: a page that polls itself keeps what a person is doing, as idiomorph keeps elements.
# Seen:     the elements stay, their state goes: the text of an input and a textarea, a ticked checkbox, a chosen option and
#           an opened <details> return to what the HTML says. `ignoreActiveValue: true` spares the focused field only.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
npm init --yes >/dev/null
npm install --silent --no-fund --no-audit --save-exact idiomorph@0.8.0 jsdom@26.1.0

cat >"$work/try.js" <<'EOF'
const fs = require("fs");
const { JSDOM } = require("jsdom");

const { window } = new JSDOM("<!doctype html><body></body>", { runScripts: "outside-only" });
window.eval(fs.readFileSync(require.resolve("idiomorph/dist/idiomorph.js"), "utf8") + "; window.Idiomorph = Idiomorph;");

const HTML =
  '<form><input id="note"><input id="other"><textarea id="text"></textarea><input id="box" type="checkbox">' +
  '<select id="choice"><option>one</option><option>two</option></select><details id="more"><p>more</p></details></form>';

function usedAndMorphed(options) {
  window.document.body.innerHTML = HTML;
  const at = (id) => window.document.getElementById(id);
  at("other").value = at("text").value = at("note").value = "typed";
  at("box").checked = at("more").open = true;
  at("choice").value = "two";
  at("note").focus();
  const before = at("note");
  window.Idiomorph.morph(window.document.querySelector("form"), HTML, options);
  return {
    sameElement: at("note") === before,
    kept: ["note", "other", "text"].filter((id) => at(id).value === "typed").concat(
      at("box").checked ? ["box"] : [], at("choice").value === "two" ? ["choice"] : [], at("more").open ? ["more"] : []),
  };
}

const plain = usedAndMorphed({});
const sparing = usedAndMorphed({ ignoreActiveValue: true });
console.log(`morphed with the same HTML: ${JSON.stringify(plain)}; with ignoreActiveValue: ${JSON.stringify(sparing)}`);
if (!plain.sameElement || plain.kept.length !== 0 || sparing.kept.join() !== "note") {
  console.error("CHANGED");
  process.exit(1);
}
console.log("as described");
EOF
node "$work/try.js"
