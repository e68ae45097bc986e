#!/usr/bin/env bash
# The copy by hand: SOURCE_PATH and DEST_PATH name the two volumes, further arguments go to the mover as they are. Exits with the mover's code, which
# is rclone's own when rclone failed. How the copy is made stands in kubectl_volresize/mover.
set -euo pipefail

require() {
  local name=$1
  if [[ -z "${!name:-}" ]]; then
    printf 'error: %s is not set: give the paths of both volumes, for example SOURCE_PATH=/source DEST_PATH=/dest migrate.sh\n' "$name" >&2
    exit 2
  fi
}

main() {
  require SOURCE_PATH
  require DEST_PATH
  # exec, so that a TERM reaches the mover and its exit code is ours.
  exec python3 -m kubectl_volresize.mover "$SOURCE_PATH" "$DEST_PATH" "$@"
}

main "$@"
