#!/usr/bin/env bash
# Deletes the test cluster in Docker; one that is not there is deleted already.
set -euo pipefail

main() {
  command -v kind >/dev/null || {
    printf 'error: kind is not on PATH\n' >&2
    exit 1
  }
  kind delete cluster --name volresize-test
}

main "$@"
