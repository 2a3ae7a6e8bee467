#!/usr/bin/env bash
# A semicolon or a hash after a space ends a supervisord setting, within quotes, too.
#
# Versions: supervisor 4.3.0.
# Expected: command=sh -c 'echo one ; sleep 100' runs both, and 'echo "order #5"' says so; or the file is refused when
#           supervisord starts.
# Seen:     the rest of the line is a comment. supervisord starts, and the programs end up FATAL with "No closing quotation".
#           Without the space, `echo one; sleep 100` runs as written. In `environment=` the same keeps supervisord from
#           starting at all: one program's password with " #" stops every program.
# Exits with 0 while this is so, with another code when it is not or could not be tried.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server" || true; wait "$server" || true; }; rm -rf "$work"' EXIT

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
[program:hash]
command=sh -c 'echo "order #5"; exec sleep 100'
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
    case "$seen" in *FATAL*FATAL*) break ;; esac
done
echo "$seen"
states=$(awk '{ print $1, $2 }' <<<"$seen" | paste -sd,)
if [ "$states" != "hash FATAL,spaced FATAL,tight RUNNING" ] || [ "$(grep -c "No closing quotation" <<<"$seen")" != 2 ]; then
    echo "CHANGED" >&2
    exit 1
fi
kill -INT "$server"
wait "$server" || true
server=
printf '[program:environment]\ncommand=sleep 100\nenvironment=PASSWORD="secret #5"\n' >>"$work/supervisord.conf"
# It would stay in the foreground if it took the file.
code=0
timeout 10 "$work/venv/bin/supervisord" -c "$work/supervisord.conf" >"$work/out" 2>&1 || code=$?
grep -o "No closing quotation in section 'program:environment'" "$work/out" || code=124
if [ "$code" = 124 ]; then
    echo "CHANGED" >&2
    exit 1
fi
echo "as described"
