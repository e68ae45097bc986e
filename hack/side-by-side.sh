#!/usr/bin/env bash
# Runs two commands at once: the first one speaks while it runs, the second one when both are over. Fails when one of them does.
#
#   hack/side-by-side.sh 'pytest -m cluster' "pytest -m 'not cluster'"
set -euo pipefail

main() {
  local output first=0 second=0 other
  [[ $# -eq 2 ]] || {
    printf 'usage: hack/side-by-side.sh COMMAND COMMAND\n' >&2
    exit 2
  }
  output=$(mktemp)
  # shellcheck disable=SC2064 # its name now
  trap "rm -f '$output'" EXIT
  # What a script starts in the background ignores SIGINT, and so would all that it starts itself.
  env --default-signal=INT,QUIT bash -c "$2" >"$output" 2>&1 &
  other=$!
  bash -c "$1" || first=$?
  wait "$other" || second=$?
  printf '\n== %s\n' "$2"
  cat "$output"
  ((first == 0)) || printf 'failed with exit code %s: %s\n' "$first" "$1"
  ((second == 0)) || printf 'failed with exit code %s: %s\n' "$second" "$2"
  ((first == 0 && second == 0))
}

main "$@"
