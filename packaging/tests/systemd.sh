#!/usr/bin/env bash
# Boots a small Debian under systemd in systemd-nspawn and runs the units of packaging/systemd there.
#
#   packaging/tests/systemd.sh BINARY         the supervisor to test
#
# Needs root, debootstrap and systemd-container; says what it skips without them. DEBIAN_ROOT keeps the Debian (by
# default in the target folder). systemd-guest.sh holds the checks.
# shellcheck disable=SC2317 # a function that trap calls
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

supervisor=$(binary "$0" "${1:-}")
need_root systemd
need systemd debootstrap systemd-nspawn
make_debian_root systemd

root=$(mktemp -d "$target/systemd.XXXXXX")

cleanup() {
  rm -rf "$root"
}
trap cleanup EXIT

# The machine of the test: units as an operator would install them, and a first unit that runs the checks.
prepare() {
  cp -a "$debian_root/." "$root"
  chmod 755 "$root"
  install "$supervisor" "$root/usr/bin/supervisor"
  install -D -m 644 -t "$root/usr/local/lib/supervisor-example" "$packaging"/examples/*.py
  install -m 644 -t "$root/etc/systemd/system" "$packaging"/systemd/*.service "$packaging"/systemd/*.socket
  install -D -t "$root/test" systemd-guest.sh
  install -m 644 -t "$root/test" lib.sh
  ln -s /dev/null "$root/etc/systemd/system/systemd-networkd-wait-online.service"
  cat >"$root/etc/systemd/system/checks.service" <<'UNIT'
[Unit]
Description=The checks of the test
SuccessAction=poweroff-force
FailureAction=poweroff-force
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c '/test/systemd-guest.sh >/test/checks 2>&1'
UNIT
  mkdir -p "$root/etc/systemd/system/default.target.wants"
  ln -s ../checks.service "$root/etc/systemd/system/default.target.wants/checks.service"
}

prepare
boot_log=$target/nspawn.log
timeout 240 systemd-nspawn -D "$root" --boot --register=no --keep-unit --quiet </dev/null >"$boot_log" 2>&1 || true
if [[ ! -e $root/test/checks ]]; then
  skip_all systemd "systemd did not boot here: $(summary "$(<"$boot_log")")"
fi
count "$root/test/checks"
if [[ $(tail -n 1 "$root/test/checks") == *' passed, '*' failed, '*' skipped' ]]; then
  ok all_checks_ran
else
  fail all_checks_ran "$(summary "$(<"$root/test/checks")")"
fi
finish
