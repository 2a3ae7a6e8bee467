# shellcheck shell=bash
# Paths, the choice of Python, and the installation of uv. Sourced by the other scripts of this folder.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ -n "${IMS_STATE_DIR:-}" ]; then
    STATE=$IMS_STATE_DIR
elif [ "$(id -u)" = 0 ]; then
    STATE=/var/lib/ims
else
    STATE=$HOME/.local/state/ims
fi
export IMS_STATE_DIR=$STATE

UV_VERSION=0.13.8
UV_OLDEST=0.8.0 # the oldest version that reads this lock file's format
TOOLS=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ims

# A company's certificates are in the system's store; by default uv uses a list of its own.
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1
# Root's umask may make files unreadable for the programs' user.
umask 022

say() { printf '%s\n' "$*"; }

fail() {
    printf 'ims: %s\n' "$*" >&2
    exit 1
}

# Since ansible-core 2.21 ansible-playbook opens a socket below TMPDIR, `pymp-XXXXXXXX/listener-XXXXXXXX`. A socket's path
# may have 107 characters, so with a longer TMPDIR ansible-playbook exits before its first task.
use_short_tmpdir() {
    local given=${TMPDIR:-}
    if [ "${#given}" -gt 74 ]; then
        say "TMPDIR is too long for Ansible's sockets; using /tmp instead."
        export TMPDIR=/tmp
    fi
}

# Whether $1 is a working Python 3.11 or newer: pyenv leaves commands on PATH that only print an error.
is_python() {
    "$@" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 </dev/null
}

# Whether the programs' account can run this Python too: when root installs, a Python below /root does not work.
is_python_for_programs() {
    is_python "$1" || return 1
    [ "$(id -u)" != 0 ] || is_python setpriv --reuid=65534 --regid=65534 --clear-groups -- "$1"
}

# Print the path of a suitable Python.
find_python() {
    local name folder
    local -a names=(python3 python3.14 python3.13 python3.12 python3.11) folders
    IFS=: read -r -a folders <<<"$PATH"
    # As root prefer the system's own Python: it stays installed, and every user may run it.
    [ "$(id -u)" != 0 ] || folders=(/usr/bin /usr/local/bin "${folders[@]}")
    for folder in "${folders[@]}"; do
        for name in "${names[@]}"; do
            if [ -x "$folder/$name" ] && is_python_for_programs "$folder/$name"; then
                say "$folder/$name"
                return
            fi
        done
    done
    return 1
}

# Whether version $1 is $2 or newer.
is_at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# Unpack Debian's pip into $1 without root rights: a minimal Debian has Python, but neither pip nor venv.
unpack_pip() {
    local folder=$1
    local -a apt=(apt-get -qq -o "Dir::State=$folder/state" -o "Dir::Cache=$folder/cache" -o Debug::NoLocking=1
        -o "Dir::State::status=/var/lib/dpkg/status")
    mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
    (cd "$folder" && "${apt[@]}" update && "${apt[@]}" download python3-pip-whl && dpkg -x python3-pip-whl_*.deb .)
}

# Install uv into its own folder $2 with Python $1: by venv, by pip, or by Debian's pip wheel, whichever this machine has.
install_uv() {
    local python=$1 folder=$2 pip
    if "$python" -m venv "$folder" >/dev/null 2>&1 && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
        "$folder/bin/python" -m pip install --quiet "uv==$UV_VERSION"
        return
    fi
    rm -rf "$folder"
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --target "$folder" "uv==$UV_VERSION"
    elif command -v apt-get >/dev/null; then
        mkdir -p "$folder"
        unpack_pip "$folder/debian" || return 1
        pip=$(echo "$folder"/debian/usr/share/python-wheels/pip-*.whl)
        "$python" "$pip/pip" install --quiet --target "$folder" "uv==$UV_VERSION"
        rm -rf "$folder/debian"
    else
        say "Python at $python has neither venv nor pip: install your system's package for one of them." >&2
        return 1
    fi
}

# Print the path of uv: the one on PATH if it is recent enough, otherwise one that is installed here.
find_uv() {
    local python=$1 log=$2 folder=$TOOLS/uv-$UV_VERSION version
    version=$(uv --version 2>/dev/null | cut -d' ' -f2) || version=
    if [ -n "$version" ] && is_at_least "$version" "$UV_OLDEST"; then
        command -v uv
        return
    fi
    if ! "$folder/bin/uv" --version >/dev/null 2>&1; then
        rm -rf "$folder"
        mkdir -p "$TOOLS"
        install_uv "$python" "$folder" >>"$log" 2>&1 || {
            rm -rf "$folder"
            return 1
        }
    fi
    say "$folder/bin/uv"
}

# A digest of everything that goes into the programs' environment.
sources_digest() {
    (cd "$ROOT" && find ims webhook pyproject.toml uv.lock -type f ! -name '*.pyc' ! -path '*/__pycache__/*' \
        -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}
