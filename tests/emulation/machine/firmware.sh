#!/bin/sh
# machine-firmware VERB: tells QEMU's side what a Pi's kernel tells the firmware as it goes down: that it reboots, and with
# which argument ("0 tryboot"). systemd-shutdown(8) runs it last of all; the argument is in the file that systemd itself
# gives to reboot(2), which an x86 kernel has no use for.
echo "$1 $(cat /run/systemd/reboot-param 2>/dev/null)" >/dev/virtio-ports/parta.firmware
