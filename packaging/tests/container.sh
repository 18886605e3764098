#!/usr/bin/env bash
# Builds the images of packaging/container with buildah and runs them with runc.
#
#   packaging/tests/container.sh BINARY       the static supervisor to test
#
# Needs root, debootstrap, buildah, runc and jq; says what it skips without them. DEBIAN_ROOT keeps the Debian that
# stands in for the Python image (by default in the target folder).
# shellcheck disable=SC2317 # functions that trap and `within` call
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

supervisor=$(binary "$0" "${1:-}")
need_root container
need container buildah runc jq debootstrap
make_debian_root container

work=$(mktemp -d "$target/container.XXXXXX")
containers=()

cleanup() {
  local id
  for id in "${containers[@]}"; do
    runtime delete --force "$id" >/dev/null 2>&1 || true
  done
  wait
  builder umount --all >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

runtime() {
  runc --root "$work/runc" "$@"
}

builder() {
  buildah --storage-driver vfs --root "$work/storage" --runroot "$work/runroot" "$@"
}

# --- The images ---------------------------------------------------------------------------------------------------

# The Debian root as the base image, because a registry may be out of reach.
make_python_image() {
  local base
  base=$(builder from scratch)
  builder add --quiet "$base" "$debian_root" / >/dev/null
  builder commit --quiet "$base" python-base >/dev/null
  builder rm "$base" >/dev/null
}

# build IMAGE [OPTION]...: builds a stage of the Containerfile, unpacks it into $work/IMAGE.rootfs and writes its
# configuration to $work/IMAGE.json.
build() {
  local image=$1 container
  shift
  builder bud --isolation chroot --quiet --format docker --target "$image" --tag "$image" "$@" \
    --file "$packaging/container/Containerfile" "$work/context" >/dev/null
  container=$(builder from --pull-never "$image")
  mkdir "$work/$image.rootfs"
  cp -a "$(builder mount "$container")/." "$work/$image.rootfs/"
  builder umount "$container" >/dev/null
  builder inspect --type image "$image" | jq .Docker.config >"$work/$image.json"
}

build_images() {
  mkdir "$work/context"
  cp "$supervisor" "$work/context/supervisor"
  cp "$packaging"/examples/service.py "$work/context/"
  build supervisor
  make_python_image
  build service --build-arg PYTHON_IMAGE=localhost/python-base
}

# --- Containers ---------------------------------------------------------------------------------------------------

# start ID IMAGE [JQ]: runs a container; JQ changes its configuration further. Its streams go to $work/ID.out and .err,
# and its exit code to $work/ID.code when it has ended.
start() {
  local id=$1 image=$2 change=${3:-.} bundle=$work/$1
  mkdir "$bundle"
  (
    cd "$bundle"
    runc spec
    jq --slurpfile image "$work/$image.json" --arg root "$work/$image.rootfs" --arg cgroup "/supervisor-test-$$-$id" \
      -f "$packaging/tests/container.jq" config.json | jq "$change" >changed.json
    mv changed.json config.json
  )
  containers+=("$id")
  {
    local code=0
    runtime run --bundle "$bundle" "$id" </dev/null >"$work/$id.out" 2>"$work/$id.err" || code=$?
    printf '%s\n' "$code" >"$work/$id.code.new"
    mv "$work/$id.code.new" "$work/$id.code"
  } &
}

# variables NAME=VALUE...: a change for start, as `docker run --env` makes.
variables() {
  jq -nr '".process.env += \($ARGS.positional | tojson)"' --args -- "$@"
}

# command WORD...: a change for start, as the words behind `docker run IMAGE` make.
command_is() {
  jq -nr '".process.args = .process.args[:2] + \($ARGS.positional | tojson)"' --args -- "$@"
}

# The pid, outside, of the container's PID 1.
init_pid() {
  runtime state "$1" | jq .pid
}

# status ID FIELD: what the supervisor of a container writes of itself.
status() {
  jq -r ".$2" "/proc/$(init_pid "$1")/root/run/app/status.json"
}

# has ID FIELD VALUE: the condition to wait for.
has() {
  [[ $(status "$1" "$2") == "$3" ]]
}

# signal ID SIGNAL: as `docker kill --signal` does; a container that has ended shows in its exit code.
signal() {
  runtime kill "$1" "$2" 2>/dev/null || true
}

# Waits for the end of a container and prints its exit code.
exit_code() {
  if within 15 test -e "$work/$1.code"; then cat "$work/$1.code"; else printf 'still running after 15 s'; fi
}

# The words of the image's HEALTHCHECK, as Docker runs them in the container.
health() {
  local words
  mapfile -t words < <(jq -r '.Healthcheck.Test[1:][]' "$work/service.json")
  runtime exec "$1" "${words[@]}"
}

# pids ID PATTERN: the pids, outside, of the container's processes whose command line matches.
pids() {
  pgrep -f --ns "$(init_pid "$1")" --nslist pid -- "$2"
}

log_of() {
  summary "$(<"$work/$1.err")"
}

# --- An empty image -----------------------------------------------------------------------------------------------

empty_image() {
  expect the_empty_image_holds_one_file \
    "$(cd "$work/supervisor.rootfs" && find . -type f | paste -s -d ' ')" './supervisor'
  if ldd "$supervisor" 2>&1 | grep -q '=>'; then
    fail the_binary_is_static 'it asks for a dynamic loader; an empty image has none'
    return
  fi
  ok the_binary_is_static

  start code supervisor '.process.args += ["--restart", "never", "--no-heartbeat", "/supervisor", "--no-such-option"]'
  expect the_exit_code_of_the_container_is_the_commands "$(exit_code code)" 2

  start empty supervisor '.process.args += ["--restart", "always", "--backoff-factor", "60", "--no-heartbeat",
    "--status-file", "/run/app/status.json", "/supervisor", "--version"]'
  if ! within 10 has empty state backing_off; then
    fail it_is_pid_1_of_an_empty_image "$(log_of empty)"
    return
  fi
  expect it_is_pid_1_of_an_empty_image "$(status empty supervisor)" 1
  local code=0
  runtime exec empty /supervisor --healthcheck /run/app/status.json >/dev/null 2>&1 || code=$?
  expect the_healthcheck_fails_in_a_backoff "$code" 1
  signal empty TERM
  expect a_stop_in_a_backoff_is_clean "$(exit_code empty)" 0
}

# --- A service ----------------------------------------------------------------------------------------------------

service() {
  start service service "$(variables SUPERVISOR_TIMEOUT=2 SUPERVISOR_BACKOFF_FACTOR=0.1)"
  if ! within 15 has service state running; then
    fail the_service_runs "$(log_of service)"
    return
  fi
  ok the_service_runs
  expect the_supervisor_is_pid_1 "$(runtime exec service cat /proc/1/comm)" supervisor
  expect it_is_an_ordinary_user "$(awk '/^Uid:/ {print $2}' "/proc/$(init_pid service)/status")" 65534
  expect it_has_no_capability "$(awk '/^CapEff:/ {print $2}' "/proc/$(init_pid service)/status")" 0000000000000000
  if runtime exec service touch /app/written 2>/dev/null; then
    fail the_root_is_read_only '/app/written could be made'
  else
    ok the_root_is_read_only
  fi
  check the_healthcheck_passes health service
  hang_is_healed
  exec_sessions
  signal service TERM
  expect docker_stop_lets_the_service_leave "$(exit_code service) $(tail -n 1 "$work/service.out")" '0 left in order'
}

hang_is_healed() {
  local run
  run=$(status service run)
  kill -STOP "$(pids service '^python3 .*service.py')"
  if within 15 has service run "$((run + 1))" && within 5 has service state running; then
    ok a_hang_is_healed
  else
    fail a_hang_is_healed "$(log_of service)"
  fi
}

# A session of `docker exec` is none of the command's: a restart leaves it alone, and what it started too.
exec_sessions() {
  local run
  run=$(status service run)
  # Streams of their own: `runc exec` waits until nobody holds those that it passed.
  runtime exec --detach service sleep 1001
  runtime exec service sh -c 'sleep 1002 >/dev/null 2>&1 &'
  runtime exec service sh -c '(sleep 0.1 >/dev/null 2>&1 &)'
  check sessions_can_be_started pids service 'sleep 100[12]'
  kill -KILL "$(pids service '^python3 .*service.py')"
  if ! within 15 has service run "$((run + 1))" || ! within 5 has service state running; then
    fail a_restart_leaves_exec_sessions_alone "no restart came: $(log_of service)"
    return
  fi
  check a_restart_leaves_exec_sessions_alone pids service 'sleep 1001'
  check a_restart_leaves_orphans_of_sessions_alone pids service 'sleep 1002'
  if within 5 no_zombies service; then
    ok orphans_of_sessions_are_reaped
  else
    fail orphans_of_sessions_are_reaped "$(summary "$(zombies service)")"
  fi
}

zombies() {
  ps -o stat=,ppid=,args= -p "$(pgrep --ns "$(init_pid "$1")" --nslist pid | paste -s -d ,)" | grep '^Z'
}

no_zombies() {
  ! zombies "$1"
}

# --- A service that does not leave --------------------------------------------------------------------------------

stubborn_service() {
  start stubborn service "$(variables SUPERVISOR_TIMEOUT=1) | $(command_is sh -c 'trap "" TERM; while :; do sleep 1; done')"
  if ! within 15 has stubborn state hung; then
    fail the_healthcheck_fails_in_a_hang "no hang came: $(log_of stubborn)"
    return
  fi
  local code=0 began=$SECONDS
  health stubborn >/dev/null 2>&1 || code=$?
  expect the_healthcheck_fails_in_a_hang "$code" 1
  signal stubborn TERM
  expect docker_stop_kills_what_stays "$(exit_code stubborn)" 137
  if ((SECONDS - began < 10)); then
    ok docker_stop_does_not_reach_its_own_kill
  else
    fail docker_stop_does_not_reach_its_own_kill "the stop took $((SECONDS - began)) s of 10"
  fi
}

# --- The stop signal of an image ----------------------------------------------------------------------------------

stop_signal() {
  start quit service "$(variables SUPERVISOR_STOP_ON=QUIT)"
  if ! within 15 has quit state running; then
    fail the_stop_signal_of_an_image_stops "$(log_of quit)"
    return
  fi
  signal quit QUIT
  expect the_stop_signal_of_an_image_stops "$(exit_code quit)" 0
}

# --- Out of memory ------------------------------------------------------------------------------------------------

out_of_memory() {
  local limit=$((64 << 20))
  start memory service "$(variables SUPERVISOR_MAX_RESTARTS=1 SUPERVISOR_BACKOFF_FACTOR=0.1) |
    $(command_is python3 -c 'import time; hoard = b"x" * (256 << 20); time.sleep(60)') |
    .linux.resources.memory = {limit: $limit, swap: $limit}"
  local code
  code=$(exit_code memory)
  if grep -q 'cgroup\|memory.limit' "$work/memory.err" && ! grep -q 'started' "$work/memory.err"; then
    skip an_oom_kill_is_followed_by_a_restart "no memory limit can be set here: $(log_of memory)"
    return
  fi
  expect an_oom_kill_is_followed_by_a_restart "$code after $(grep -c 'started' "$work/memory.err") starts" '137 after 2 starts'
  if grep -q 'kernel .* memory' "$work/memory.err"; then
    ok an_oom_kill_is_named
  else
    fail an_oom_kill_is_named "$(log_of memory)"
  fi
}

build_images
empty_image
service
stubborn_service
stop_signal
out_of_memory
finish
