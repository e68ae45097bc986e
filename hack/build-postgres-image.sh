#!/usr/bin/env bash
# Builds the image of the database that tests/database shrinks, PostgreSQL from Debian's packages, and loads it into the cluster of hack/cluster.sh
# unless all its nodes have it. The last line of stdout is the tag, which is by content of this script and its Dockerfile; everything else goes to
# stderr. Kept in the cache, outside the checkout: the second time nothing is built.
#
#   LOAD=false    leave the cluster alone
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly ARTEFACTS=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}/artefacts
readonly RECIPE=$ROOT/hack/postgres-image
readonly SUITE=bookworm
readonly PACKAGE=postgresql-15
readonly DATABASE_UID=5432
# The one in use and the one before.
readonly KEEP=2

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

key() {
  { cat "$RECIPE/Dockerfile" "${BASH_SOURCE[0]}" "$ROOT/hack/localcluster/oci_archive.py" && uname -m; } | sha256sum | cut -c 1-12
}

# The host's own mirror when it is a Debian of the same suite, else debootstrap's default: a mirror written here would be wrong for someone.
mirror() {
  if [[ -n "${VOLRESIZE_DEBIAN_MIRROR:-}" ]]; then
    printf '%s\n' "$VOLRESIZE_DEBIAN_MIRROR"
    return
  fi
  # shellcheck disable=SC2016 # apt's variable, not ours
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $SUITE" 'Component: main' 2>/dev/null | head -n 1 || true
}

build_with_docker() {
  local archive=$1 tag=$2
  docker build --tag "$tag" "$RECIPE" >&2
  docker save --output "$archive" "$tag"
}

bootstrap() {
  local root=$1 log=$1.log from
  from=$(mirror)
  # Unpacked and configured in two steps, so that the server's package finds on its arrival that no database of its own is wanted.
  # shellcheck disable=SC2086 # an empty mirror must vanish, not become an empty argument
  if ! debootstrap --variant=minbase --foreign --include="$PACKAGE" "$SUITE" "$root" $from >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail 'debootstrap failed; another mirror can be given in VOLRESIZE_DEBIAN_MIRROR'
  fi
  mkdir -p "$root/etc/postgresql-common"
  printf 'create_main_cluster = false\n' >"$root/etc/postgresql-common/createcluster.conf"
  if ! DEBIAN_FRONTEND=noninteractive chroot "$root" /debootstrap/debootstrap --second-stage >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "the packages of $PACKAGE could not be configured"
  fi
  chroot "$root" useradd --uid "$DATABASE_UID" --no-create-home --home-dir / database
}

prune() {
  local root=$1
  # Queries compiled at run time, which the test switches off, would be half of the image.
  rm -rf "$root"/usr/lib/*/lib{LLVM,z3}* "$root"/usr/lib/llvm-* "$root"/usr/lib/postgresql/*/lib/{bitcode,llvmjit*}
  rm -rf "$root"/usr/share/{man,info,doc,locale,lintian,groff,i18n} "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/debootstrap
  # Device nodes, which the container's runtime makes by itself. -xdev: never those of the host, whatever is mounted there.
  find "$root/dev" -xdev -mindepth 1 -delete
  # Of the machine that built it, and nobody else's business.
  rm -f "$root"/etc/{resolv.conf,hostname,machine-id} "$root"/var/lib/dbus/machine-id
  find "$root/etc/apt" -name '*.list' -delete
}

build_with_debootstrap() {
  local archive=$1 tag=$2
  [[ $EUID -eq 0 ]] || fail 'debootstrap needs root; use Docker'
  "$ROOT/hack/need-packages.sh" debootstrap debian-archive-keyring
  WORK=$(mktemp -d)
  # --one-file-system: after a kill in the middle, something of the host may still be mounted below.
  trap 'rm -rf --one-file-system "$WORK"' EXIT
  bootstrap "$WORK/root"
  prune "$WORK/root"
  python3 "$ROOT/hack/localcluster/oci_archive.py" "$WORK/root" "$archive" "$tag" bash
}

build() {
  local folder=$1 tag=$2
  say "postgres: building $tag, once (about a minute)"
  rm -rf "$folder.partial"
  mkdir -p "$folder.partial"
  if has_docker; then
    build_with_docker "$folder.partial/image.tar" "$tag"
  else
    build_with_debootstrap "$folder.partial/image.tar" "$tag"
  fi
  # Whole or not at all: a build that was killed must never be taken for a finished one.
  mv "$folder.partial" "$folder"
  say "postgres: built $tag ($(du -h "$folder/image.tar" | cut -f 1))"
}

forget_old() {
  local folder
  while IFS= read -r folder; do
    rm -rf "$folder"
  done < <(find "$ARTEFACTS" -maxdepth 1 -name 'postgres-*' ! -name '*.partial' -printf '%T@ %p\n' | sort -rn | tail -n +$((KEEP + 1)) | cut -d ' ' -f 2-)
}

# As the kubelets tell it, seconds late: a needless load is harmless.
every_node_has() {
  local tag=$1 nodes having
  nodes=$(kubectl get nodes --output name | wc -l)
  having=$(kubectl get nodes --output 'jsonpath={range .items[*]}{.status.images[*].names}{"\n"}{end}' | grep -cF "$tag\"") || return 1
  [[ "$having" -eq "$nodes" ]]
}

main() {
  local name folder tag
  name=postgres-$(key)
  folder=$ARTEFACTS/$name
  tag=localhost/volresize-postgres:${name#postgres-}
  mkdir -p "$ARTEFACTS"
  exec {lock}>"$ARTEFACTS/.postgres.lock"
  flock "$lock"
  [[ -e "$folder/image.tar" ]] || build "$folder" "$tag"
  touch "$folder"
  forget_old
  # Released before the cluster is touched: a process that outlives us must not inherit the lock.
  exec {lock}>&-
  if [[ "${LOAD:-true}" != false ]]; then
    KUBECONFIG=$("$ROOT/hack/cluster.sh" kubeconfig)
    export KUBECONFIG
    every_node_has "$tag" || "$ROOT/hack/cluster.sh" load "$folder/image.tar" >&2
  fi
  printf '%s\n' "$tag"
}

main "$@"
