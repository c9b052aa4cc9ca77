# What both ways to run a kit without a Pi are made of: the root of emulation_root.sh and the machine of emulation_vm.sh.
# Sourced by them, never run.

VENV=${VENV:-.venv}
LEAN=(--variant=minbase --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*')

say() { printf '» %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

need_root() {
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || fail "a root folder needs root; run this as root, or install sudo"
}

# debian_root FOLDER PACKAGES [mmdebstrap's options]: what it prints matters only when it fails.
debian_root() {
    local root=$1 packages=$2 log=$1.log mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
    shift 2
    need_root
    as_root rm -rf "$root" && mkdir -p .cache
    as_root mmdebstrap "${LEAN[@]}" --include="$packages" "$@" trixie "$root" \
        "deb $mirror trixie main" "deb $mirror trixie-backports main" >"$log" 2>&1 ||
        { cat "$log" >&2; fail "mmdebstrap failed"; }
}

# locked_packages LOCK FOLDER: wheels alone, for Debian 13's Python, whatever Python runs here.
locked_packages() {
    as_root "$VENV"/bin/uv pip install --quiet --target "$2" --python-version 3.13 \
        --python-platform "$(uname -m)-manylinux_2_28" --only-binary :all: --no-deps --require-hashes -r "$1"
}

# virtual_camera ROOT: libcamera's camera without a sensor, the pictures that it sees, and picamera2.
virtual_camera() {
    as_root mkdir -p "$1"/{opt/site,opt/frames,usr/share/libcamera/pipeline/virtual} &&
        locked_packages requirements/emulation.txt "$1/opt/site" &&
        as_root "$VENV"/bin/python -m tests.emulation.noise "$1/opt/frames" &&
        as_root cp tests/emulation/virtual.yaml "$1/usr/share/libcamera/pipeline/virtual/"
}
