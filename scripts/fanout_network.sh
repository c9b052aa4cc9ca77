#!/usr/bin/env bash
# Runs a command in a network namespace of its own whose address is given to it as its last argument: what Janus needs,
# which gathers no loopback addresses. The namespace goes with the command. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/emulation_parts.sh

ADDRESS=10.77.0.1

# shellcheck disable=SC2016 # expanded by the inner shell
as_root unshare --net bash -euc '
    address=$1
    shift
    ip link set lo up
    ip link add parta0 type veth peer name parta1
    ip address add "$address/24" dev parta0
    ip link set parta0 up
    ip link set parta1 up
    exec "$@" "$address"' bash "$ADDRESS" "$@"
