# What the ways to run a kit without a Pi are made of: the root of emulation_root.sh, the machine of emulation_vm.sh, and the
# image of image.sh.
# Sourced by them, never run.

VENV=${VENV:-.venv}
BUILDS_LGPIO=gcc,libc6-dev,swig,python3-dev,python3-pip,python3-setuptools,python3-wheel
MAKES_DISKS=genimage,dosfstools,mtools,e2fsprogs,fdisk,bmap-tools,xz-utils,rauc,squashfs-tools,openssl
LEAN=(--variant=minbase --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*')

# A machine whose folder /machine is: the same network and agent whatever it boots, and on whatever processor.
MACHINE_HAS=(-nodefaults -no-user-config -display none -no-reboot -accel tcg,thread=multi -smp 2 -m 1536
    -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci
    -device virtio-serial-pci -chardev socket,id=agent,path=/machine/agent,server=on,wait=off
    -device virtserialport,chardev=agent,name=parta.test)

say() { printf '» %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

need_root() {
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || fail "a root folder needs root; run this as root, or install sudo"
}

made_of() { find "$@" -type f -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum; }

# once WHAT FUNCTION PATH …: does it when what it is made of has changed; WHAT.made-of remembers.
once() {
    local stamp=$1.made-of work=$2 now
    shift 2
    now=$(made_of "$@")
    [ "$(cat "$stamp" 2>/dev/null)" != "$now" ] || return 0
    rm -f "$stamp"
    "$work"
    echo "$now" >"$stamp"
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

# build_lgpio ROOT [SETTING=…]: its wheel, and those beside it in the lock file, in ROOT/pins. ROOT has $BUILDS_LGPIO; with
# Python's settings for another processor, and that one's compiler and headers, the wheel is for it.
build_lgpio() {
    local root=$1
    shift
    say "building lgpio of requirements/pins.txt"
    as_root "$VENV"/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary lgpio --require-hashes \
        -r requirements/pins.txt -d "$root/pins"
    # PYPI=1: with the library in it, as its makers build it for the package index.
    as_root chroot "$root" env PYPI=1 "$@" sh -ec 'cd /pins && pip wheel --quiet --use-pep517 --no-index --no-deps --no-build-isolation *.tar.gz' ||
        fail "lgpio could not be built"
}
