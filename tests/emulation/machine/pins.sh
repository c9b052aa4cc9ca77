# A Pi's header as the kernel's simulated GPIO chip, with nobody at the buttons, and a board that gpiozero knows (Pi 4B).
set -eu
modprobe gpio-sim
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
chip=/sys/kernel/config/gpio-sim/kit
mkdir -p "$chip/header"
echo 32 >"$chip/header/num_lines"
echo pinctrl-bcm2711 >"$chip/header/label"
echo 1 >"$chip/live"
ln -sfn "/sys/devices/platform/$(cat "$chip/dev_name")/$(cat "$chip/header/chip_name")" /run/pins
for button in 17 27 22; do echo pull-up >"/run/pins/sim_gpio$button/pull"; done
{ cat /proc/cpuinfo; printf 'Revision\t: c03114\n'; } >/run/cpuinfo
mount --bind /run/cpuinfo /proc/cpuinfo
