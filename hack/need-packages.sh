#!/usr/bin/env bash
# Installs what is missing of the Debian packages named; nothing happens, and nobody needs to be root, when all are there.
# Usage: need-packages.sh PACKAGE[:COMMAND]...   With a command, one on PATH will do, wherever it comes from.
set -euo pipefail

# Where mkfs and its like are, also for users whose PATH leaves it out.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

is_there() {
  local package=${1%%:*} command=${1#*:}
  if [[ "$command" != "$1" ]]; then
    command -v "$command" >/dev/null && return
  fi
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed
}

install() {
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; } >&2
}

main() {
  local package missing=()
  [[ $# -gt 0 ]] || fail 'usage: need-packages.sh PACKAGE[:COMMAND]...'
  # Two at once would fail on apt's own locks.
  exec {lock}<"${BASH_SOURCE[0]}"
  flock "$lock"
  for package in "$@"; do
    is_there "$package" || missing+=("${package%%:*}")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  command -v apt-get >/dev/null || fail "missing, and there is no apt-get to install it with: ${missing[*]}"
  [[ $EUID -eq 0 ]] || fail "missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
  say "packages: installing ${missing[*]}"
  # Without the lock: a service that a package starts would keep it.
  install "${missing[@]}" {lock}<&-
}

main "$@"
