#!/usr/bin/env bash
# A kit as a whole machine: Debian 13 with systemd, our units and the real libraries, under QEMU's software emulation. What
# stands in for the Pi's hardware is in tests/emulation/machine/, and nothing of it in the kit's own files.
#
#   emulation_vm.sh make               makes .cache/vm/: a root folder, a disk from it, and QEMU with other tools in a root of its own
#   emulation_vm.sh boot FOLDER FILE   boots it with FILE as parta.toml on its card, until it is killed. In FOLDER: console.log,
#                                      the console; agent, a socket to the machine's agent. The disk stays as it was made
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/emulation_parts.sh

VM=.cache/vm
ROOT=$VM/root
TOOLS=$VM/tools
MACHINE=tests/emulation/machine
# Debian's packages of docs/service.md, but for those that only Raspberry Pi OS has (picamera2, lgpio, a new
# gpiozero). alsa-utils: something plays.
PACKAGES=systemd,systemd-sysv,systemd-timesyncd,dbus,udev,kmod,iproute2,linux-image-amd64,initramfs-tools
PACKAGES+=,python3-venv,python3-libcamera,python3-prctl,python3-piexif
PACKAGES+=,python3-pyaudio,python3-systemd,alsa-utils
DISK_SIZE=3G
CARD_KB=16384
ADDRESS=10.0.2.15/24 GATEWAY=10.0.2.2 # QEMU's user-mode network: its gateway is this machine's loopback

ROOT_FROM=(scripts/emulation_vm.sh scripts/emulation_parts.sh requirements/pins.txt requirements/kit.txt requirements/relay.txt
    requirements/emulation.txt
    tests/emulation/virtual.yaml tests/emulation/noise.py "$MACHINE"/kernel.pref)
DISK_FROM=("${ROOT_FROM[@]}" pyproject.toml appliance relay service wire config systemd "$MACHINE"
    tests/emulation/shims)

make_tools() {
    say "making $TOOLS: QEMU of Debian 13, twice as fast as Debian 12's, and what builds lgpio"
    debian_root "$TOOLS" qemu-system-x86,seabios,ipxe-qemu,dosfstools,mtools,$BUILDS_LGPIO
    build_lgpio "$TOOLS"
}

make_root() {
    say "making $ROOT: Debian 13 with systemd, a kernel with gpio-sim, and libcamera"
    # shellcheck disable=SC2016 # $1 is mmdebstrap's
    debian_root "$ROOT" "$PACKAGES" --setup-hook='
        mkdir -p "$1/etc/apt/preferences.d" "$1/etc/initramfs-tools/conf.d"
        cp '"$MACHINE"'/kernel.pref "$1/etc/apt/preferences.d/kernel.pref"
        echo MODULES=list >"$1/etc/initramfs-tools/conf.d/modules.conf"
        printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"'
    say "installing the locked packages of requirements/kit.txt, requirements/relay.txt and requirements/emulation.txt"
    as_root chroot "$ROOT" python3 -m venv --system-site-packages /opt/parta
    as_root cp "$TOOLS"/pins/*.whl "$ROOT/tmp/"
    as_root chroot "$ROOT" sh -c '/opt/parta/bin/pip install --quiet --no-index --no-deps \
        --root-user-action=ignore --disable-pip-version-check /tmp/*.whl && rm /tmp/*.whl'
    locked_packages requirements/kit.txt "$ROOT/opt/parta/lib/python3.13/site-packages"
    locked_packages requirements/relay.txt "$ROOT/opt/parta/lib/python3.13/site-packages"
    virtual_camera "$ROOT"
    # As pip does and uv does not. The kit may not write there: each of its processes would compile it all anew.
    as_root chroot "$ROOT" python3 -m compileall -q /opt/parta/lib/python3.13/site-packages /opt/site
}

make_disk() {
    say "making $VM/disk: Parta's wheel, its units, and what stands in for a Pi"
    install_parta
    install_machine
    rm -f "$VM/disk" && as_root mke2fs -q -t ext4 -L root -d "$ROOT" "$VM/disk" "$DISK_SIZE"
    as_root cp "$ROOT"/boot/vmlinuz-* "$VM/kernel" && as_root cp "$ROOT"/boot/initrd.img-* "$VM/initrd"
}

# As docs/service.md says, but that the wheel's dependencies are there, and that root's commands are done here.
install_parta() {
    rm -rf "$VM/wheel" && "$VENV"/bin/python -m hatchling build -t wheel -d "$VM/wheel" >/dev/null
    as_root cp -r "$VM/wheel" "$ROOT/tmp/"
    as_root chroot "$ROOT" sh -c '/opt/parta/bin/pip install --quiet --no-index --no-deps --force-reinstall \
        --root-user-action=ignore --disable-pip-version-check /tmp/wheel/*.whl && rm -r /tmp/wheel'
    as_root rm -rf "$ROOT"/etc/systemd/system/parta-* "$ROOT"/etc/systemd/system/*.wants/parta-*
    as_root install -D -m 644 config/kit.toml "$ROOT/etc/parta/kit.toml"
    as_root install -m 644 systemd/parta-kit.service systemd/parta-boot-file.service systemd/parta-power@.* \
        "$ROOT/etc/systemd/system/"
    as_root install -D -m 644 systemd/parta-kit.sysusers "$ROOT/etc/sysusers.d/parta-kit.conf"
    as_root install -D -m 644 systemd/parta-kit.tmpfiles "$ROOT/etc/tmpfiles.d/parta-kit.conf"
    as_root install -D -m 644 systemd/60-parta-kit.rules "$ROOT/etc/udev/rules.d/60-parta-kit.rules"
    as_root systemctl --quiet --root "$ROOT" enable parta-kit.service
    # The relay, too, but not started: its own test does that.
    as_root install -m 644 config/relay.toml "$ROOT/etc/parta/relay.toml"
    as_root install -m 644 systemd/parta-relay.service "$ROOT/etc/systemd/system/"
    as_root install -m 644 systemd/parta-relay.sysusers "$ROOT/etc/sysusers.d/parta-relay.conf"
}

install_machine() {
    as_root rm -rf "$ROOT/opt/machine" && as_root mkdir -p "$ROOT/boot/firmware"
    as_root cp -r "$MACHINE" "$ROOT/opt/machine"
    as_root cp -r tests/emulation/shims "$ROOT/opt/machine/shims"
    as_root cp -r "$MACHINE"/etc/. "$ROOT/etc/"
    as_root chown -R root:root "$ROOT/opt/machine" "$ROOT/etc/systemd/system"
    as_root systemctl --quiet --root "$ROOT" enable parta-machine-agent parta-machine-sound systemd-networkd
    printf '[Match]\nType=ether\n[Network]\nAddress=%s\nGateway=%s\n' "$ADDRESS" "$GATEWAY" |
        as_root tee "$ROOT/etc/systemd/network/10-qemu.network" >/dev/null
    printf 'LABEL=root / ext4 rw 0 1\nLABEL=BOOTFS /boot/firmware vfat umask=077 0 2\n' |
        as_root tee "$ROOT/etc/fstab" >/dev/null
    as_root truncate -s 0 "$ROOT/etc/machine-id" # made at the first boot, as on a flashed card
}

boot() {
    local folder
    folder=$(realpath "$1")
    [ -e "$VM/disk.made-of" ] || fail "$VM/disk is not there; make test-emulated makes it"
    cp "$2" "$folder/parta.toml"
    # shellcheck disable=SC2016 # expanded by the inner shell
    exec unshare --mount bash -euc '
        mkdir -p "$1/machine" "$1/vm"
        mount --bind "$2" "$1/machine"
        mount --bind "$3" "$1/vm"
        mount --rbind /dev "$1/dev"
        cd /
        truncate -s '"$CARD_KB"'K "$2/card"
        chroot "$1" mkfs.vfat -n BOOTFS /machine/card >/dev/null
        chroot "$1" mcopy -i /machine/card /machine/parta.toml ::parta.toml
        tools=$1; shift 3
        exec chroot "$tools" env -i PATH=/usr/sbin:/usr/bin TMPDIR=/machine "$@" \
            -kernel /vm/kernel -initrd /vm/initrd \
            -append "root=LABEL=root ro console=ttyS0 quiet mitigations=off systemd.show_status=1 net.ifnames=0" \
            -drive file=/vm/disk,format=raw,if=virtio,snapshot=on -drive file=/machine/card,format=raw,if=virtio \
            -serial file:/machine/console.log' \
        bash "$(realpath "$TOOLS")" "$folder" "$(realpath "$VM")" qemu-system-x86_64 -M q35 -cpu max "${MACHINE_HAS[@]}"
}

case "${1:-}" in
    make)
        mkdir -p "$VM"
        once "$VM/tools" make_tools scripts/emulation_vm.sh scripts/emulation_parts.sh requirements/pins.txt
        once "$VM/root" make_root "${ROOT_FROM[@]}"
        once "$VM/disk" make_disk "${DISK_FROM[@]}"
        ;;
    boot) boot "${2:?a folder}" "${3:?the file for its card}" ;;
    *) fail "say make or boot" ;;
esac
