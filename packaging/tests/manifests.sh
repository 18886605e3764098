#!/usr/bin/env bash
# Checks every manifest of packaging against its schema, and holds all of them to the same promises (manifests.py).
#
#   packaging/tests/manifests.sh [BINARY]     with the supervisor, also that it accepts the options in the manifests
#
# Needs no root. Says what it skips without a network (tools from PyPI), systemd or promtool.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

supervisor=
if (($# > 0)); then supervisor=$(binary "$0" "$1"); fi
work=$(mktemp -d "$target/manifests.XXXXXX")
trap 'rm -rf "$work"' EXIT
repository=$(cd "$packaging/.." && pwd)

schemas() {
  if ! python_tools; then
    skip schemas "the tools cannot be installed, no network perhaps: $(summary "$(<"$target/tools.log")")"
    return
  fi
  local file
  for file in "$packaging"/kubernetes/*.yaml; do
    check "kubernetes_$(basename "$file" .yaml)" kubernetes-validate --strict "$file"
  done
  check compose check-jsonschema --builtin-schema vendor.compose-spec "$packaging/compose/compose.yaml"
  quiet container hadolint --no-color "$packaging/container/Containerfile"
  check issue_forms check-jsonschema --builtin-schema vendor.github-issue-forms \
    "$repository/.github/ISSUE_TEMPLATE/bug.yml" "$repository/.github/ISSUE_TEMPLATE/feature.yml"
  check issue_config check-jsonschema --builtin-schema vendor.github-issue-config \
    "$repository/.github/ISSUE_TEMPLATE/config.yml"
  promises
}

# Reads Nomad's file too, and fails where it cannot be read.
promises() {
  python3 manifests.py "$packaging" ${supervisor:+"$supervisor"} >"$work/promises" 2>&1 || true
  count "$work/promises"
  if [[ $(tail -n 1 "$work/promises") == 'all checked' ]]; then
    ok promises_were_all_checked
  else
    fail promises_were_all_checked "$(summary "$(<"$work/promises")")"
  fi
}

alerts() {
  if ! command -v promtool >/dev/null; then
    skip alerts 'promtool is not installed'
    return
  fi
  check alert_rules promtool check rules "$packaging/prometheus/supervisor.rules.yaml"
  check alerts_fire promtool test rules "$packaging/prometheus/supervisor.test.yaml"
  if [[ -z $supervisor ]]; then
    skip metrics 'no binary was given'
    return
  fi
  local metrics=$work/shop.prom
  "$supervisor" --quiet --no-heartbeat --metrics-file "$metrics" -- true
  quiet metrics promtool check metrics <"$metrics"
  expect metrics_have_the_label_of_the_alerts "$(grep '^supervisor_up' "$metrics")" 'supervisor_up{name="shop"} 0'
}

# In a root of its own, where the programs that the units name exist.
units() {
  if ! command -v systemd-analyze >/dev/null || [[ ! -d /usr/lib/systemd/system ]]; then
    skip units 'systemd is not installed'
    return
  fi
  local root=$work/root program
  mkdir -p "$root/etc/systemd/system" "$root/usr/lib/systemd"
  cp -a /usr/lib/systemd/system "$root/usr/lib/systemd/"
  cp "$packaging"/systemd/* "$root/etc/systemd/system/"
  for program in /usr/bin/supervisor /bin/kill; do
    install -D /bin/true "$root$program"
  done
  quiet units_are_valid systemd-analyze verify --man=no --root="$root" \
    supervisor-example.service supervisor-example-web.socket supervisor-example-web.service
}

schemas
alerts
units
finish
