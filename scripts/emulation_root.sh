#!/usr/bin/env bash
# A Debian 13 root with the real libcamera and picamera2, and libcamera's virtual camera in the place of a sensor: what a
# kit's camera code meets on Raspberry Pi OS, but for the sensor, its ISP and the hardware encoder (docs/hardware.md).
#
#   emulation_root.sh make              makes .cache/emulation-root, anew when what goes into it has changed
#   emulation_root.sh run COMMAND …     runs a command in it, with this folder read-only as /src
#   emulation_root.sh kit               makes it hold all that a whole kit imports, for bench/press_edge.py
#   emulation_root.sh test ARGS …       runs the tests of a Pi's camera in it; pytest's arguments choose
set -euo pipefail
cd "$(dirname "$0")/.."

ROOT=.cache/emulation-root
STAMP=$ROOT.made-of
. scripts/emulation_parts.sh
# tcc: one small C file is compiled in there. python3-prctl and python3-piexif: picamera2 imports them.
PACKAGES=python3-libcamera,python3-prctl,python3-piexif,tcc,libc6-dev
INGREDIENTS=(scripts/emulation_root.sh scripts/emulation_parts.sh requirements/emulation.txt
    tests/emulation/udmabuf.c tests/emulation/virtual.yaml tests/emulation/noise.py)

make_root() {
    say "making $ROOT: Debian 13 with libcamera"
    debian_root "$ROOT" "$PACKAGES"
    install_ours || fail "it could not be filled"
}

install_ours() {
    say "installing the locked packages of requirements/emulation.txt"
    as_root mkdir -p "$ROOT/src" && virtual_camera "$ROOT" &&
        as_root cp tests/emulation/udmabuf.c "$ROOT/opt/" &&
        as_root chroot "$ROOT" tcc -shared -o /opt/udmabuf.so /opt/udmabuf.c
}

# The kit's own locked packages, and gpiozero without lgpio: in there, pins are gpiozero's mock ones.
fill_for_a_kit() {
    local stamp=$ROOT/opt/kit.made-of now
    now=$(cat requirements/kit.txt requirements/pins.txt | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$now" ] || return 0
    say "installing the locked packages of requirements/kit.txt, and gpiozero"
    locked_packages requirements/kit.txt "$ROOT/opt/kit"
    locked_packages <(awk '/^[a-z]/ { keep = /^(colorzero|gpiozero)==/ } keep' requirements/pins.txt) "$ROOT/opt/kit"
    echo "$now" | as_root tee "$stamp" >/dev/null
}

# Namespaces of its own: the mounts go with the command, and so does every process that it leaves behind.
run_in_root() {
    [ -e "$STAMP" ] || fail "$ROOT is not there; make test-libcamera makes it"
    # shellcheck disable=SC2016 # expanded by the inner shell
    as_root unshare --mount --pid --fork --kill-child sh -ec '
        root=$1; shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind . "$root/src"
        mount -o remount,bind,ro "$root/src"
        exec chroot "$root" env -i -C /src PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 HOME=/root PYTHONDONTWRITEBYTECODE=1 \
            PYTHONPATH=/src/tests/emulation/shims:/src:/opt/site:/opt/kit LD_PRELOAD=/opt/udmabuf.so \
            LIBCAMERA_LOG_LEVELS="*:ERROR" "$@"' sh "$ROOT" "$@"
}

# No conftest.py: it needs what only the whole project's environment has. -p: the leak check is kept.
run_tests() {
    run_in_root python3 -m pytest -p no:cacheprovider --noconftest -p tests.leaks \
        tests/emulation/test_picamera2.py tests/conformance/test_camera.py -k picamera2 "$@"
}

case "${1:-}" in
    make) once "$ROOT" make_root "${INGREDIENTS[@]}" ;;
    kit)
        once "$ROOT" make_root "${INGREDIENTS[@]}" # not before "&&": there a step that fails would end nothing
        fill_for_a_kit
        ;;
    test) shift && run_tests "$@" ;;
    run) shift && run_in_root "$@" ;;
    *) fail "say make, kit, run or test" ;;
esac
