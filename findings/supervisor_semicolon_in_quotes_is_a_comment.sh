#!/usr/bin/env bash
# A semicolon after a space ends a supervisord setting, within quotes, too.
#
# Versions: supervisor 4.3.0.
# Expected: command=sh -c 'echo one ; sleep 100' runs both, or the file is refused when supervisord starts.
# Seen:     the rest of the line is a comment. supervisord starts, and the program ends up FATAL with "No closing quotation".
#           Without the space, `echo one; sleep 100` runs as written.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check supervisor==4.3.0 setuptools==80.9.0

cat >"$work/supervisord.conf" <<EOF
[unix_http_server]
file=$work/sock
[supervisord]
logfile=$work/log
pidfile=$work/pid
nodaemon=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$work/sock
[program:spaced]
command=sh -c 'echo one ; exec sleep 100'
startretries=1
[program:tight]
command=sh -c 'echo one; exec sleep 100'
startretries=1
EOF
"$work/venv/bin/supervisord" -c "$work/supervisord.conf" >"$work/out" 2>&1 &
server=$!
for _ in 1 2 3 4 5 6 7 8; do
    sleep 1
    seen=$("$work/venv/bin/supervisorctl" -c "$work/supervisord.conf" status || true)
    case "$seen" in *FATAL*) break ;; esac
done
echo "$seen"
spaced=$(awk '$1 == "spaced" { print $2 }' <<<"$seen")
tight=$(awk '$1 == "tight" { print $2 }' <<<"$seen")
if [ "$spaced $tight" != "FATAL RUNNING" ] || ! grep -q "No closing quotation" <<<"$seen"; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
