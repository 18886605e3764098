#!/usr/bin/env bash
# The checks of systemd.sh, run inside of the machine that it boots.
# shellcheck disable=SC2317 # functions that `within` calls
set -euo pipefail
cd "$(dirname "$0")"
CARGO_TARGET_DIR=/tmp
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

unit='supervisor-example.service'
web='supervisor-example-web.service'
worker=service.py

# property UNIT NAME
property() {
  systemctl show "$1" --property "$2" --value
}

is() {
  [[ $(property "$1" "$2") == "$3" ]]
}

# pid_of PATTERN: the command, which the supervisor's own command line names too.
pid_of() {
  pgrep -f "^/usr/bin/python3 .*/$1"
}

# replaced PATTERN PID: another process than that one runs.
replaced() {
  local now
  now=$(pid_of "$1") && [[ $now != "$2" ]]
}

# status FOLDER FIELD
status() {
  python3 -c 'import json, sys; print(json.load(open(f"/run/{sys.argv[1]}/status.json"))[sys.argv[2]])' "$1" "$2"
}

# journal_has UNIT PRIORITY PATTERN: a line of the supervisor with that priority.
journal_has() {
  journalctl --unit "$1" --output json --no-pager | python3 -c '
import json, re, sys
for line in sys.stdin:
    entry = json.loads(line)
    if entry["PRIORITY"] == sys.argv[1] and re.search(sys.argv[2], str(entry["MESSAGE"])):
        sys.exit()
sys.exit(1)' "$2" "$3"
}

logged() {
  summary "$(journalctl --unit "$1" --no-pager --output cat | tail -n "${2:-6}")"
}

# Shorter times for a test, as `systemctl edit` would set them.
shorten() {
  local name
  for name in "$unit" "$web"; do
    mkdir -p "/etc/systemd/system/$name.d"
    cat >"/etc/systemd/system/$name.d/test.conf" <<'UNIT'
[Service]
WatchdogSec=3s
RestartSec=100ms
Environment=SUPERVISOR_TIMEOUT=1 SUPERVISOR_GRACE_PERIOD=0.5 SUPERVISOR_BACKOFF_FACTOR=0.1
UNIT
  done
  systemctl daemon-reload
}

units_are_valid() {
  quiet units_are_valid systemd-analyze verify --man=no /etc/systemd/system/supervisor-example*.{service,socket}
  local name
  for name in "$unit" "$web"; do
    check "${name%.service}_is_hardened" systemd-analyze security --offline=yes --no-pager --threshold=20 \
      "/etc/systemd/system/$name"
  done
}

readiness() {
  check start_waits_for_readiness timeout 20 systemctl start "$unit"
  expect ready "$(property "$unit" ActiveState)" active
  check status_text_is_shown within 5 has_status_text
  check the_worker_runs_as_an_ordinary_user [ "$(ps -o uid= -p "$(pid_of $worker)")" -gt 0 ]
  check start_is_told_with_priority_info within 5 journal_has "$unit" 6 'started .*python3'
  if journal_has "$unit" 6 '^[0-9]{4}-[0-9]{2}-'; then
    fail journal_lines_have_one_time "$(logged "$unit")"
  else
    ok journal_lines_have_one_time
  fi
}

has_status_text() {
  [[ -n $(property "$unit" StatusText) ]]
}

# Two looks at the watchdog's time stamp further apart than WatchdogSec: it has been fed, or the unit would be gone.
watchdog_is_fed() {
  local first
  first=$(property "$unit" WatchdogTimestampMonotonic)
  check watchdog_is_fed within 10 fed_since "$((first + 4000000))"
  expect a_fed_watchdog_restarts_nothing "$(property "$unit" NRestarts)" 0
}

fed_since() {
  (($(property "$unit" WatchdogTimestampMonotonic) > $1))
}

hang_is_healed() {
  local before supervisor
  before=$(pid_of $worker)
  supervisor=$(property "$unit" MainPID)
  kill -STOP "$before"
  check hang_is_healed within 15 replaced $worker "$before"
  expect hang_is_healed_by_the_supervisor "$(property "$unit" MainPID) $(property "$unit" NRestarts)" "$supervisor 0"
  check hang_is_told_with_priority_warning within 5 journal_has "$unit" 4 ' hung'
}

reload() {
  local before supervisor restarts
  before=$(pid_of $worker)
  supervisor=$(property "$unit" MainPID)
  restarts=$(status supervisor-example restarts)
  check reload_is_accepted systemctl reload "$unit"
  check reload_restarts_the_command within 15 replaced $worker "$before"
  expect reload_keeps_the_supervisor "$(property "$unit" MainPID) $(property "$unit" NRestarts)" "$supervisor 0"
  expect reload_is_not_counted "$(status supervisor-example restarts)" "$restarts"
}

# systemd's watchdog ends a supervisor that was stopped; nothing of its command is left beside the next one.
stopped_supervisor() {
  local before supervisor
  before=$(pid_of $worker)
  supervisor=$(property "$unit" MainPID)
  kill -STOP "$supervisor"
  check stopped_supervisor_is_restarted within 30 is "$unit" NRestarts 1
  check stopped_supervisor_starts_its_command_again within 15 replaced $worker "$before"
  if kill -0 "$before" 2>/dev/null; then
    fail stopped_supervisor_leaves_no_command "pid $before is still there"
  else
    ok stopped_supervisor_leaves_no_command
  fi
}

killed_supervisor() {
  local before
  before=$(pid_of $worker)
  kill -KILL "$(property "$unit" MainPID)"
  check killed_supervisor_is_restarted within 15 is "$unit" NRestarts 2
  check killed_supervisor_starts_its_command_again within 15 replaced $worker "$before"
}

stop() {
  check stop_is_quick timeout 10 systemctl stop "$unit"
  expect stop_is_a_success "$(property "$unit" ActiveState) $(property "$unit" Result)" 'inactive success'
  if pid_of $worker >/dev/null; then
    fail stop_leaves_nothing "$(pgrep -af $worker)"
  else
    ok stop_leaves_nothing
  fi
}

# A mistake in the configuration is told at once, not tried again and again.
mistake() {
  mkdir -p /run/systemd/system/"$unit.d"
  cat >/run/systemd/system/"$unit.d"/mistake.conf <<'UNIT'
[Service]
ExecStart=
ExecStart=/usr/bin/supervisor -- /no/such/command
UNIT
  systemctl daemon-reload
  systemctl start "$unit" 2>/dev/null || true
  check mistake_fails_the_unit within 5 is "$unit" ActiveState failed
  expect mistake_is_not_tried_again "$(property "$unit" NRestarts) $(property "$unit" ExecMainStatus)" '0 127'
  rm /run/systemd/system/"$unit.d"/mistake.conf
  systemctl daemon-reload
  systemctl reset-failed "$unit"
}

# ask: the pid of the process that answers.
ask() {
  python3 -c '
import socket
with socket.create_connection(("127.0.0.1", 8080), timeout=20) as server:
    server.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while chunk := server.recv(65536):
        answer += chunk
print(answer.split(b"\r\n\r\n")[1].decode().strip())'
}

answered_by_another() {
  local now
  now=$(ask) && [[ $now != "$1" ]]
}

socket_activation() {
  local first
  check socket_is_bound systemctl start supervisor-example-web.socket
  if ! first=$(ask); then
    fail socket_starts_the_service "$(logged "$web")"
    return
  fi
  expect socket_starts_the_service "$first" "$(pid_of web.py)"
  # None of these connections may be refused, whatever runs at that moment.
  kill -KILL "$first"
  check socket_outlives_the_command answered_by_another "$first"
  first=$(ask)
  systemctl restart "$web"
  check socket_outlives_the_supervisor answered_by_another "$first"
  systemctl stop supervisor-example-web.socket "$web"
}

shorten
units_are_valid
readiness
watchdog_is_fed
hang_is_healed
reload
stopped_supervisor
killed_supervisor
stop
mistake
socket_activation
finish
