#!/usr/bin/env bash
# Makes the virtual environment and brings in what a target needs. `make` calls it, behind stamp files, so that the
# work is done once per change of a lock file. Not here: what is locked (requirements/, package-lock.json).
#
#   set_up.sh python running|testing    .venv with the locked packages of requirements/{running,testing}.txt
#   set_up.sh node                      node_modules, as package-lock.json says, and hls.js among the page's files
#   set_up.sh hls                       only hls.js; left out, and said so, where there is no npm
#   set_up.sh audio                     PortAudio, PyAudio built against it, and PulseAudio to be a sound card
#   set_up.sh service                   systemd-python built against libsystemd, and systemd-analyze
#   set_up.sh network                   coturn, iproute2 and nftables, for tests in network namespaces
#   set_up.sh s3                        VersityGW, an S3 server, built from its Go modules into .cache/s3
#   set_up.sh fanout                    Janus and iproute2, for the duel of bench/fanout
#   set_up.sh emulation [arm64]         mmdebstrap, which makes roots of Debian 13; for arm64, what runs its programs here
#   set_up.sh fuzz                      atheris, for make fuzz
#   set_up.sh libcamera                 that root itself, where this machine can make one
#   set_up.sh browser                   Chromium and a font with Cyrillic letters, from Debian's packages
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv

say() { printf '» %s\n' "$*" >&2; }
fail() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

apt_install() {
    command -v apt-get >/dev/null || fail "$* is missing, and this is no Debian; install it and run make again"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "$* is missing; as root: apt-get install $*"
        as_root=(sudo)
    fi
    say "installing Debian packages: $*"
    local log
    log=$(mktemp) # hundreds of lines that matter only when it fails
    "${as_root[@]}" apt-get update -qq >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed"; }
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
        >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get install $* failed"; }
    rm -f "$log"
}

# A Python that runs the code. The version is asked from the program itself: a shim of that name may lead nowhere.
find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 was found; install python3 (Debian 12 or newer) or set PYTHON=/path/to/python"
}

make_venv() {
    "$VENV/bin/python" -c '' 2>/dev/null && return # a Python that was upgraded away leaves a dead link behind
    local python version
    python=$(find_python)
    version=$("$python" -c 'import sys; print(f"{sys.version_info.major}.{sys.version_info.minor}")')
    # Debian splits venv's other half, ensurepip, into a package of its own.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install "python$version-venv"
    say "making $VENV with Python $version"
    "$python" -m venv --clear "$VENV"
}

# uv does not read pip's configuration: a school's mirror is passed on.
pass_on_index() {
    local index
    index=${PIP_INDEX_URL:-$("$VENV/bin/pip" config get global.index-url 2>/dev/null || true)}
    if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX=$index; fi
}

# uv, itself locked, because it installs in seconds what takes pip a minute.
install_python_packages() {
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    pass_on_index
    say "installing the locked packages of requirements/$1.txt"
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --require-hashes --only-binary :all: \
        -r "requirements/$1.txt"
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation --editable .
}

node_packages() {
    command -v node >/dev/null && command -v npm >/dev/null || apt_install nodejs npm
    say "installing the locked packages of package-lock.json"
    npm ci --silent --no-audit --no-fund --ignore-scripts
    place_hls
}

# The page's one library that others wrote: a file of its package beside the page's own, with its licence.
place_hls() {
    install -m 644 node_modules/hls.js/dist/hls.light.min.mjs relay/web/pages/static/hls.mjs
    install -m 644 node_modules/hls.js/LICENSE relay/web/pages/static/hls.license.txt
}

# For who only runs Parta: Debian's npm is 600 packages, too many to install unasked for replays in some browsers.
hls() {
    if ! command -v npm >/dev/null; then
        say "replays are left out in browsers other than Safari: they need npm (apt-get install npm), then make again"
        return
    fi
    say "fetching hls.js"
    if npm ci --silent --no-audit --no-fund --ignore-scripts --omit=dev; then place_hls; else
        say "replays are left out in browsers other than Safari: hls.js could not be fetched; make tries again next time"
    fi
}

browser() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    # Without a font, a page in Russian is boxes, and a screenshot proves nothing.
    fc-list :lang=ru 2>/dev/null | grep -q . || missing+=(fontconfig fonts-dejavu-core)
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

# PyAudio has no wheels for Linux: it is built here, from a source whose hash is locked.
audio() {
    apt_install gcc libc6-dev python3-dev portaudio19-dev libportaudio2 libasound2-plugins pulseaudio
    pass_on_index
    say "building PyAudio"
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --require-hashes -r requirements/sound.txt
}

# systemd-python has no wheels either.
service() {
    local missing=() python=$VENV/bin/python
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    if ! "$python" -c 'import systemd.daemon, systemd.journal' 2>/dev/null; then
        command -v gcc >/dev/null || missing+=(gcc libc6-dev)
        command -v pkg-config >/dev/null || missing+=(pkg-config)
        pkg-config --exists libsystemd 2>/dev/null || missing+=(libsystemd-dev)
        "$python" -c 'import pathlib, sysconfig as s; (pathlib.Path(s.get_path("include")) / "Python.h").stat()' \
            2>/dev/null || missing+=(python3-dev)
    fi
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
    pass_on_index
    say "building systemd-python"
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --require-hashes -r requirements/service.txt
}

network() {
    local missing=() had_coturn=yes
    command -v ip >/dev/null || missing+=(iproute2)
    command -v nft >/dev/null || missing+=(nftables)
    command -v turnserver >/dev/null || { missing+=(coturn); had_coturn=no; }
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
    # Debian starts coturn as it installs it; nobody asked for a TURN server on this machine.
    if [ "$had_coturn" = no ] && [ -d /run/systemd/system ] && [ "$(id -u)" -eq 0 ]; then
        systemctl disable --quiet --now coturn || fail "coturn was started by its installation and cannot be stopped"
    fi
}

s3() {
    local version=v1.8.0
    [ ! -x .cache/s3/versitygw ] || return 0
    command -v go >/dev/null || apt_install golang-go
    say "building an S3 server, which takes some minutes"
    GOBIN="$PWD/.cache/s3" GOFLAGS=-mod=mod go install "github.com/versity/versitygw/cmd/versitygw@$version" ||
        fail "VersityGW cannot be built; it needs Go 1.21 or newer, which brings what is newer still by itself"
}

fanout() {
    local missing=() had_janus=yes
    command -v ip >/dev/null || missing+=(iproute2)
    command -v janus >/dev/null || { missing+=(janus); had_janus=no; }
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
    if [ "$had_janus" = no ] && [ -d /run/systemd/system ] && [ "$(id -u)" -eq 0 ]; then
        systemctl disable --quiet --now janus || fail "janus was started by its installation and cannot be stopped"
    fi
}

emulation() {
    command -v mmdebstrap >/dev/null || apt_install mmdebstrap
    [ "${1:-}" != arm64 ] || arm64_programs
}

# A root is made by its own programs: QEMU runs each that is started, once the kernel has been told. Where no systemd tells
# it at each start of the machine, it is told here.
arm64_programs() {
    local missing=() as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    command -v arch-test >/dev/null || missing+=(arch-test) # what mmdebstrap asks
    command -v qemu-aarch64-static >/dev/null || missing+=(qemu-user-static)
    command -v update-binfmts >/dev/null || missing+=(binfmt-support)
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
    if arch-test arm64 >/dev/null 2>&1; then return; fi
    "${as_root[@]}" update-binfmts --import qemu-aarch64 || true # where it is known already, it may still be off
    "${as_root[@]}" update-binfmts --enable qemu-aarch64 || true
    arch-test arm64 >/dev/null 2>&1 || fail "arm64 programs do not run here: this kernel has no binfmt_misc"
}

# Part of every test run, so it is left out, and says so, where a root folder cannot be had without asking.
libcamera() {
    mkdir -p .cache
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || ! unshare --mount --pid --fork true 2>/dev/null; then
        say "picamera2 on the real libcamera is left out: it needs Debian, and root with mounts (make test-libcamera)"
        return
    fi
    emulation
    scripts/emulation_root.sh make
}

fuzz() {
    pass_on_index
    "$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --require-hashes --only-binary :all: \
        -r requirements/fuzz.txt || fail "atheris has no wheel for this machine: it is made for Linux on x86-64"
}

case "${1:-}" in
    python) make_venv && install_python_packages "${2:?running or testing}" ;;
    node) node_packages ;;
    hls) hls ;;
    browser) browser ;;
    audio) audio ;;
    service) service ;;
    emulation) emulation "${2:-}" ;;
    fanout) fanout ;;
    libcamera) libcamera ;;
    network) network ;;
    s3) s3 ;;
    fuzz) fuzz ;;
    *) fail "say python, node, hls, browser, audio, network, service, s3, fuzz, emulation, fanout or libcamera" ;;
esac
