# shellcheck shell=bash
# What the tests of packaging share: one line for each check, the totals at the end, and a small Debian to test in.

packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$packaging/../target}/packaging
mkdir -p "$target"
target=$(cd "$target" && pwd)
passed=0
failed=0
skipped=0

ok() {
  passed=$((passed + 1))
  printf 'ok %s\n' "$1"
}

fail() {
  failed=$((failed + 1))
  printf 'FAIL %s: %s\n' "$1" "$2"
}

skip() {
  skipped=$((skipped + 1))
  printf 'skipped %s: %s\n' "$1" "$2"
}

# expect NAME SEEN WANTED
expect() {
  if [[ $2 == "$3" ]]; then ok "$1"; else fail "$1" "saw '$2', wanted '$3'"; fi
}

# check NAME COMMAND...: the command succeeds; a failure shows its output, or the command where there is none.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then ok "$name"; else fail "$name" "$(summary "${output:-this failed: $*}")"; fi
}

# quiet NAME COMMAND...: the command succeeds and says nothing.
quiet() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1) && [[ -z $output ]]; then ok "$name"; else fail "$name" "$(summary "$output")"; fi
}

summary() {
  tail -n 12 <<<"${1:-no output}" | paste -s -d '|' | sed 's/|/ | /g'
}

# count FILE: counts the checks that another program has written there, and shows them.
count() {
  local line name
  while IFS= read -r line; do
    name=${line%%:*}
    case $line in
      'ok '*) ok "${line#ok }" ;;
      'FAIL '*': '*) fail "${name#FAIL }" "${line#*: }" ;;
      'skipped '*': '*) skip "${name#skipped }" "${line#*: }" ;;
    esac
  done <"$1"
}

# within SECONDS COMMAND...: waits until the command succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then return 1; fi
    sleep 0.05
  done
}

# Ends the script with the totals.
finish() {
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  exit "$((failed > 0))"
}

# skip_all NAME REASON: nothing of this script can be tested on this machine.
skip_all() {
  skip "$1" "$2"
  finish
}

# need NAME PROGRAM...
need() {
  local name=$1 program
  shift
  for program; do
    command -v "$program" >/dev/null || skip_all "$name" "$program is not installed"
  done
}

# need_root NAME
need_root() {
  [[ $(id -u) == 0 ]] || skip_all "$1" 'this test works as root only'
}

# binary SCRIPT PATH: prints the absolute path of the binary to test.
binary() {
  if [[ ! -f ${2:-} || ! -x $2 ]]; then
    printf 'usage: %s BINARY (the supervisor to test)\n' "$1" >&2
    exit 2
  fi
  realpath "$2"
}

# The tools for manifests and habits that PyPI has, in a virtual environment in the target folder. Fails without a
# network; the log says why.
python_tools() {
  local wanted=$packaging/tests/requirements.txt venv=$target/tools
  if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    {
      python3 -m venv --clear "$venv" && "$venv/bin/pip" install --quiet --requirement "$wanted" || return
    } >"$target/tools.log" 2>&1
    cp "$wanted" "$venv/requirements.txt"
  fi
  PATH=$venv/bin:$PATH
}

# The Debian that the tests of containers and of systemd start from. It is made once and kept in DEBIAN_ROOT, or in
# the target folder.
debian_root=${DEBIAN_ROOT:-$target/debian}

# make_debian_root NAME
make_debian_root() {
  [[ -e $debian_root/.complete ]] && return
  rm -rf "$debian_root"
  mkdir -p "$debian_root"
  local log=$target/debootstrap.log
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps,python3 \
    "$(debian_release)" "$debian_root" "$(debian_mirror)" >"$log" 2>&1 ||
    skip_all "$1" "debootstrap failed, no network perhaps: $(summary "$(<"$log")")"
  touch "$debian_root/.complete"
}

debian_release() {
  (. /etc/os-release && [[ ${ID:-} == debian ]] && printf '%s' "${VERSION_CODENAME:-stable}") || printf 'stable'
}

# Where apt of this machine gets its packages from; empty is debootstrap's own choice.
debian_mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -v '^#' | grep -oE '(https?|file)://[^ ]*/debian/?( |$)' | head -n 1 | tr -d ' ' || true
}
