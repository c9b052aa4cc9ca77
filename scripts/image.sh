#!/usr/bin/env bash
# Makes the kit's image from image-build/: with rpi-image-gen for a Pi, and from Debian 13 alone for QEMU. What is made
# lies in dist/; what can be used again, in .cache/image, or .cache/image-arm64 for that processor.
#
#   image.sh emulated              the image that boots here, made of the same layers (image-build/emulation.toml)
#   image.sh pi FAMILY             a Pi's: pi4, pi5, cm4, cm5, pi3 or zero2w. Needs rpi-image-gen and Raspberry Pi's archive
#   image.sh bundle SYSTEM BOOT FAMILY VERSION FILE    an update bundle of two partitions' images, signed
#   image.sh boot FOLDER [FILE]    writes the emulated one to a card, FOLDER/disk, unless an older boot did, puts FILE on it as
#                                  parta.toml, and boots it until it is switched off or killed (scripts/image/firmware.py);
#                                  FOLDER/console.log is the console, FOLDER/agent a socket to the machine's agent,
#                                  FOLDER/stick* USB sticks, which FOLDER/qmp plugs in. Without FILE the console is this
#                                  terminal
#
# IMAGE_ARCH: the emulated image's processor, amd64 or arm64. IMAGE_URL: the folder that Imager will fetch the image from, and
# kits their updates. XZ_LEVEL: 0 to 9. UPDATE_KEY, UPDATE_CERT: who signs updates, and whose updates the image takes, in PEM
# form; the emulated image alone makes a throwaway pair where they are not given. IMAGE_CACHE, IMAGE_OUT: other folders, below
# this one, than .cache/image and dist.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/emulation_parts.sh

ARCH=${IMAGE_ARCH:-amd64}
IMAGE=${IMAGE_CACHE:-.cache/image}
[ -n "${IMAGE_CACHE:-}" ] || [ "$ARCH" = amd64 ] || IMAGE+=-$ARCH
TOOLS=$IMAGE/tools
PLAN=$IMAGE/plan
DEBIAN=$IMAGE/debian
ROOT=$IMAGE/root
OUT=${IMAGE_OUT:-dist}
NAME=parta-kit
FAMILIES="pi4 pi5 cm4 cm5 pi3 zero2w"
WITH_SLOTS="pi4 pi5 cm4 cm5"
PI_ARCHIVE=${PI_ARCHIVE:-http://archive.raspberrypi.com/debian}
CARD_SIZE=8G
FIRST_PARTITION=4194304 # genimage.cfg.in: align = 4M
UPDATE_KEY=${UPDATE_KEY:-$IMAGE/update/key.pem}
UPDATE_CERT=${UPDATE_CERT:-$IMAGE/update/cert.pem}

PYTHON_FROM=(scripts/image.sh "$PLAN/target" requirements/kit.txt pyproject.toml appliance service wire config relay)
STAND_INS_FROM=(scripts/image.sh "$PLAN/target" requirements/emulation.txt requirements/pins.txt tests/emulation/noise.py)
DEBIAN_FROM=(scripts/emulation_parts.sh "$PLAN/packages" "$PLAN/essential" "$PLAN/kernel.pref"
    image-build/layer/parta-card.d/files)
ROOT_FROM=("${DEBIAN_FROM[@]}" "${PYTHON_FROM[@]}" "${STAND_INS_FROM[@]}" scripts/image image-build systemd
    tests/emulation/machine tests/emulation/shims tests/emulation/virtual.yaml "$UPDATE_CERT")

version() { sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1; }
# The date of the last change of what it is made of: two builds of one commit are one image, and so are those of two
# commits that differ in other things.
MADE_FROM=(scripts/image.sh scripts/image scripts/emulation_parts.sh requirements pyproject.toml appliance service wire config
    relay image-build systemd tests/emulation)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct -- "${MADE_FROM[@]}" 2>/dev/null || stat -c %Y pyproject.toml)}
export SOURCE_DATE_EPOCH
# What Debian's packages note of the day of their installation: Debian 13's own, because their root outlives our changes.
DEBIAN_DATE=1754697600

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo --preserve-env=SOURCE_DATE_EPOCH "$@"; fi
}

# in_tools COMMAND …: in the root with the tools, where .cache/image is /image and dist is /dist.
in_tools() {
    mkdir -p "$OUT"
    # shellcheck disable=SC2016 # expanded by the inner shell
    as_root unshare --mount bash -euc '
        tools=$1 work=$2 out=$3; shift 3
        mkdir -p "$tools/image" "$tools/dist"
        mount --bind "$work" "$tools/image"
        mount --bind "$out" "$tools/dist"
        mount -t proc proc "$tools/proc"
        # E2FSCK_TIME: genimage has e2fsck order the folders, and that goes by its own variable.
        exec chroot "$tools" env -i PATH=/usr/sbin:/usr/bin TMPDIR=/tmp SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
            E2FSCK_TIME="$SOURCE_DATE_EPOCH" "$@"' \
        bash "$(realpath "$TOOLS")" "$(realpath "$IMAGE")" "$(realpath "$OUT")" "$@"
}

# make_plan: what is asked of Debian, of QEMU and of uv for this processor (image-build/emulation.toml).
make_plan() {
    mkdir -p "$IMAGE"
    "$VENV"/bin/python -m scripts.image plan "$PLAN" "$ARCH"
    # shellcheck source=/dev/null
    . "$PLAN/target"
}

make_tools() {
    local -a foreign=()
    case $EMULATOR_PACKAGES in *:"$ARCH"*) foreign=(--architectures="$(dpkg --print-architecture),$ARCH") ;; esac
    say "making $TOOLS: QEMU, genimage and what builds lgpio, of Debian 13"
    debian_root "$TOOLS" "$EMULATOR_PACKAGES,$MAKES_DISKS,$BUILDS_LGPIO" "${foreign[@]}"
    build_lgpio "$TOOLS" "${BUILDS_LGPIO_WITH[@]}"
}

make_update_key() {
    say "making a throwaway key: updates of this image are signed with it, and taken because of it"
    mkdir -p "$IMAGE/update"
    in_tools openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=Parta, throwaway" -sha256 \
        -keyout /image/update/key.pem -out /image/update/cert.pem 2>"$IMAGE/update/log" || { cat "$IMAGE/update/log" >&2; fail "openssl failed"; }
}

# python_packages FOLDER UV'S-OPTIONS …: what uv notes of this machine is no part of an image.
python_packages() {
    local folder=$1
    shift
    as_root "$VENV"/bin/uv pip install --quiet --target "$folder" --python-version 3.13 --no-deps "$@"
    as_root rm -rf "$folder/bin" "$folder/.lock"
    as_root find "$folder" \( -name direct_url.json -o -name uv_cache.json -o -name INSTALLER -o -name REQUESTED \
        -o -name RECORD \) -delete
}

# make_site FOLDER PLATFORM: Parta's wheel and its locked dependencies.
make_site() {
    say "installing Parta's wheel and the locked packages of requirements/kit.txt for $2"
    rm -rf "$1" "$IMAGE/wheel" && mkdir -p "$1"
    "$VENV"/bin/python -m hatchling build -t wheel -d "$IMAGE/wheel" >/dev/null
    python_packages "$1" --python-platform "$2" --only-binary :all: --require-hashes -r requirements/kit.txt
    python_packages "$1" "$IMAGE"/wheel/*.whl
}
make_emulated_site() { make_site "$IMAGE/site" "$WHEELS"; }

make_stand_ins() {
    say "installing picamera2, gpiozero and lgpio in the place of Raspberry Pi's packages"
    rm -rf "$IMAGE/emulation-site" "$IMAGE/frames" && mkdir -p "$IMAGE/emulation-site" "$IMAGE/frames"
    python_packages "$IMAGE/emulation-site" --python-platform "$WHEELS" --only-binary :all: --require-hashes \
        -r requirements/emulation.txt
    python_packages "$IMAGE/emulation-site" --python-platform "$WHEELS" "$TOOLS"/pins/{colorzero,gpiozero,lgpio}-*.whl
    "$VENV"/bin/python -m tests.emulation.noise "$IMAGE/frames"
}

make_debian() {
    say "making $DEBIAN: the packages of the layers, which takes some minutes"
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    SOURCE_DATE_EPOCH=$DEBIAN_DATE debian_root "$DEBIAN" "$(cat "$PLAN/packages")" --architectures="$ARCH" \
        --essential-hook="$PWD/$PLAN/essential" --setup-hook='
        mkdir -p "$1/etc/apt/preferences.d"; cp '"$PLAN"'/kernel.pref "$1/etc/apt/preferences.d/kernel.pref"'
}

# What is where in the root, for the emulation's list of differences; a folder's times change with what is in it.
inventory() {
    as_root find "$ROOT" \( -type d -printf '/%P\t%y %m %U:%G\n' \) -o -printf '/%P\t%y %m %U:%G %s %T@ %l\n' | sort
}

# Bytecode is the same on every processor, and the tools' root has the same Python: an emulated one takes 100 times as long.
make_bytecode() {
    local inside=/image/${ROOT##*/} packages
    packages=$(cd "$ROOT" && echo opt/parta/lib/python3.*/site-packages)
    in_tools python3 -m compileall -q --invalidation-mode unchecked-hash -s "$inside" -p / \
        "$inside"/{"$packages",opt/machine,opt/site}
}

make_root() {
    local later=""
    [ "$ARCH" = "$(dpkg --print-architecture)" ] || later=yes
    say "making $ROOT: Parta, its units and this image's files"
    as_root rm -rf "$ROOT" && as_root cp -a --reflink=auto "$DEBIAN" "$ROOT"
    as_root env PARTA_BYTECODE_LATER="$later" IGconf_parta_site="$PWD/$IMAGE/site" \
        IGconf_partaslots_keyring="$(realpath "$UPDATE_CERT")" "$PLAN/customize" "$ROOT"
    inventory >"$IMAGE/before"
    as_root env PARTA_BYTECODE_LATER="$later" EMULATION_SITE="$PWD/$IMAGE/emulation-site" \
        EMULATION_FRAMES="$PWD/$IMAGE/frames" "$PLAN/stand-ins" "$ROOT"
    inventory >"$IMAGE/after"
    [ -z "$later" ] || make_bytecode
    "$VENV"/bin/python -m scripts.image within "$IMAGE/before" "$IMAGE/after"
    forget_the_making
    "$VENV"/bin/python -m scripts.image bill "$ROOT" "$IMAGE/bill.json" "$(version)" "$SOURCE_DATE_EPOCH"
}

# Logs and caches of the making, and every date that is later than the source's.
forget_the_making() {
    as_root find "$ROOT/var/log" "$ROOT/var/cache" "$ROOT/tmp" "$ROOT/run" -mindepth 1 -not -type d -delete
    as_root rm -rf "$ROOT"/var/lib/apt/lists/* "$ROOT"/etc/{passwd,group,shadow,gshadow,subuid,subgid}-
    as_root find "$ROOT" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

make_image() {
    say "making the disk: two slots with firmware and read-only root, and what is kept"
    as_root rm -rf "$IMAGE"/{input,output,genimage,card-root} && mkdir -p "$IMAGE"/{input,output,genimage}
    as_root cp -a --reflink=auto "$ROOT" "$IMAGE/card-root"
    as_root sh -euc '. "$1/variables"; export IGconf_image_name=$2 IGconf_image_suffix=img
        exec "$IGconf_image_assetdir/hooks/preimage50-card" "$3" "$4"' sh "$PLAN" "$NAME" "$IMAGE/card-root" "$IMAGE/input"
    as_root find "$IMAGE/card-root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    as_root find "$IMAGE/card-root" -exec touch --no-dereference --time=atime --date="@$SOURCE_DATE_EPOCH" {} +
    in_tools genimage --rootpath /image/card-root --tmppath /image/genimage --inputpath /image/input \
        --outputpath /image/output --config /image/input/genimage.cfg >"$IMAGE/genimage.log" 2>&1 ||
        { cat "$IMAGE/genimage.log" >&2; fail "genimage failed"; }
    as_root mv "$IMAGE/output/$NAME.img" "$IMAGE/$NAME.img"
    as_root mv "$IMAGE/output/root.ext4" "$IMAGE/system.img" && as_root mv "$IMAGE/output/boot.vfat" "$IMAGE/boot.img"
    as_root rm -rf "$IMAGE/card-root" "$IMAGE/genimage" "$IMAGE/output"
}

pack_emulated() {
    pack "$NAME.img" "$NAME-$(version)-$ARCH" "$FAMILY"
    cp "$IMAGE/bill.json" "$OUT/$NAME-$(version)-$ARCH.cdx.json"
}

pack_update() {
    bundle "$IMAGE/system.img" "$IMAGE/boot.img" "$FAMILY" "$(version)" "$OUT/$NAME-$(version)-$ARCH.raucb"
}

# bundle SYSTEM BOOT FAMILY VERSION FILE
bundle() {
    local work=$IMAGE/bundle
    say "packing and signing $5"
    as_root rm -rf "$work" && mkdir -p "$work/files"
    ln "$1" "$work/files/system.img" 2>/dev/null || cp --reflink=auto "$1" "$work/files/system.img"
    ln "$2" "$work/files/boot.img" 2>/dev/null || cp --reflink=auto "$2" "$work/files/boot.img"
    cp "$UPDATE_KEY" "$work/key.pem" && cp "$UPDATE_CERT" "$work/cert.pem"
    printf '[update]\ncompatible=%s\nversion=%s\n[bundle]\nformat=plain\n[image.system]\nfilename=system.img\n[image.boot]\nfilename=boot.img\n' \
        "$NAME-$3" "$4" >"$work/files/manifest.raucm"
    in_tools rauc bundle --cert=/image/bundle/cert.pem --key=/image/bundle/key.pem --keyring=/image/bundle/cert.pem \
        --mksquashfs-args="-comp zstd -Xcompression-level ${ZSTD_LEVEL:-9}" /image/bundle/files /image/bundle/made.raucb \
        >"$IMAGE/bundle.log" 2>&1 || { cat "$IMAGE/bundle.log" >&2; fail "rauc failed"; }
    mkdir -p "$(dirname "$5")" && cp --reflink=auto "$work/made.raucb" "$5"
    as_root rm -rf "$work"
    say "made $5, $(du -h "$5" | cut -f1)"
    case ${IMAGE_URL:-} in
        https://*) "$VENV"/bin/python -m scripts.image channel "$5" "$4" "$IMAGE_URL" "${5%.raucb}.channel.json" ;;
    esac
}

# pack IMAGE NAME FAMILY: of an image in .cache/image, the packed one, its block map, its sums and its entry for Imager.
pack() {
    local file=$2.img
    say "packing $OUT/$file.xz"
    in_tools bmaptool --quiet create -o "/dist/$file.bmap" "/image/$1"
    in_tools sh -c "xz --threads=0 -${XZ_LEVEL:-6} --keep --stdout /image/$1 >/dist/$file.xz"
    (cd "$OUT" && sha256sum "$file.xz" "$file.bmap" >"$file.sha256")
    "$VENV"/bin/python -m scripts.image imager "$OUT/$file.xz" "$3" "${IMAGE_URL:-file://$(realpath "$OUT")}" \
        "$OUT/$NAME.imager.json" "$(version)" "$SOURCE_DATE_EPOCH"
    say "made $OUT/$file.xz, $(du -h "$OUT/$file.xz" | cut -f1)"
}

emulated() {
    need_root
    make_plan
    once "$IMAGE/tools" make_tools scripts/emulation_parts.sh "$PLAN/target" requirements/pins.txt
    [ -e "$UPDATE_CERT" ] || make_update_key
    once "$IMAGE/site" make_emulated_site "${PYTHON_FROM[@]}"
    once "$IMAGE/stand-ins" make_stand_ins "${STAND_INS_FROM[@]}"
    once "$IMAGE/debian" make_debian "${DEBIAN_FROM[@]}"
    once "$IMAGE/root" make_root "${ROOT_FROM[@]}"
    once "$IMAGE/image" make_image "${ROOT_FROM[@]}"
    once "$IMAGE/bundled" pack_update "${ROOT_FROM[@]}"
    once "$IMAGE/packed" pack_emulated "${ROOT_FROM[@]}"
    say "$OUT/$NAME-$(version)-$ARCH.img.xz boots with: make boot-image ARCH=$ARCH"
}

has_slots() { case " $WITH_SLOTS " in *" $1 "*) ;; *) return 1 ;; esac; }

pi() {
    case " $FAMILIES " in *" $1 "*) ;; *) fail "$1 is no family of boards; known: $FAMILIES" ;; esac
    "$VENV"/bin/python -c 'import sys, urllib.request as web; web.urlopen(sys.argv[1], timeout=10).close()' \
        "$PI_ARCHIVE/dists/trixie/InRelease" 2>/dev/null ||
        fail "Raspberry Pi's archive cannot be reached ($PI_ARCHIVE): a Pi's kernel, firmware and picamera2 are nowhere else. Set PI_ARCHIVE to a mirror of it, or make image-emulated"
    ! has_slots "$1" || [ -e "${UPDATE_KEY:?}" -a -e "$UPDATE_CERT" -a "$UPDATE_CERT" != "$IMAGE/update/cert.pem" ] ||
        fail "set UPDATE_KEY and UPDATE_CERT: this image takes updates, and only those that are signed by you"
    command -v rpi-image-gen >/dev/null || fail "rpi-image-gen is not here; it comes from Raspberry Pi's GitHub account"
    make_plan
    once "$IMAGE/tools" make_tools scripts/emulation_parts.sh "$PLAN/target" requirements/pins.txt
    make_site "$IMAGE/site-arm64" aarch64-manylinux_2_28
    local image=pi-$1/image-$NAME
    local -a given=(IGconf_parta_site="$PWD/$IMAGE/site-arm64" IGconf_sys_workroot="$PWD/$IMAGE/pi-$1")
    ! has_slots "$1" || given+=(IGconf_partaslots_keyring="$(realpath "$UPDATE_CERT")")
    PARTA_VERSION=$(version) rpi-image-gen build -S image-build -c "$1.yaml" -- "${given[@]}"
    pack "$image/$NAME.img" "$NAME-$(version)-arm64-$1" "$1"
    ! has_slots "$1" ||
        bundle "$IMAGE/$image/system.ext4" "$IMAGE/$image/boot.vfat" "$1" "$(version)" "$OUT/$NAME-$(version)-arm64-$1.raucb"
}

boot() {
    local folder serial=chardev:console
    local file name
    local -a sticks=(-device "qemu-xhci,id=usb" -qmp "unix:/machine/qmp,server=on,wait=off")
    [ -e "$IMAGE/image.made-of" ] || fail "$IMAGE/$NAME.img is not there; make image-emulated makes it"
    # shellcheck source=/dev/null
    . "$PLAN/target"
    folder=$(realpath "$1")
    rm -f "$folder/console.log"
    [ -z "${2:-}" ] || cp "$2" "$folder/parta.toml"
    [ -n "${2:-}" ] || serial=mon:stdio
    for file in "$folder"/stick*; do
        name=$(basename "$file")
        [ ! -e "$file" ] || sticks+=(-drive "file=/machine/$name,format=raw,if=none,id=$name")
    done
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec unshare --mount bash -euc '
        python=$1 tools=$2 folder=$3 image=$4; shift 4
        mkdir -p "$tools/machine"
        mount --bind "$folder" "$tools/machine"
        mount --rbind /dev "$tools/dev"
        card="/machine/disk@@'$FIRST_PARTITION'"
        if [ ! "$folder/disk" -nt "$image" ]; then
            cp --sparse=always "$image" "$folder/disk"
            truncate -s '$CARD_SIZE' "$folder/disk"
        fi
        [ ! -e "$folder/parta.toml" ] ||
            chroot "$tools" env -i PATH=/usr/bin mcopy -o -i "$card" /machine/parta.toml ::parta.toml
        exec "$python" -m scripts.image.firmware "$folder" "$tools" "$@"' \
        bash "$VENV/bin/python" "$(realpath "$TOOLS")" "$folder" "$(realpath "$IMAGE/$NAME.img")" \
        "${EMULATOR[@]}" "${MACHINE_HAS[@]}" \
        -chardev file,id=console,path=/machine/console.log,append=on -serial "$serial" \
        -drive file=/machine/disk,format=raw,if=virtio "${sticks[@]}"
}

case "${1:-}" in
    emulated) emulated ;;
    pi) pi "${2:?a family of boards: $FAMILIES}" ;;
    bundle) bundle "${2:?an image}" "${3:?an image}" "${4:?a family}" "${5:?a version}" "${6:?a file}" ;;
    boot) boot "${2:?a folder}" "${3:-}" ;;
    *) fail "say emulated, pi, bundle or boot" ;;
esac
