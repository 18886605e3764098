#!/usr/bin/env bash
# Checks what holds for the whole repository: spelling, licences and sources of the crates, and the shell scripts.
#
#   packaging/tests/habits.sh
#
# Needs no root. Says what it skips without a network (tools from PyPI) or shellcheck.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

cd "$packaging/.."
if python_tools; then
  check spelling typos
  check dependencies cargo deny --locked check licenses bans sources
else
  skip spelling_and_dependencies "the tools cannot be installed, no network perhaps: $(summary "$(<"$target/tools.log")")"
fi
if command -v shellcheck >/dev/null; then
  mapfile -t scripts < <(git grep -l '^#!/usr/bin/env bash' -- '*.sh' .ci)
  check shell_scripts shellcheck -x "${scripts[@]}"
else
  skip shell_scripts 'shellcheck is not installed'
fi
finish
