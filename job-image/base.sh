#!/usr/bin/env bash
# A base for the image where no registry can be reached: two root file systems made by debootstrap, `builder.tar` (with pip) and `runtime.tar`
# (the same without it, so that the interpreters are of one build). Its own text is the key under which hack/build-migrator-image.sh keeps what
# it makes, so whatever changes the result stands here. Building the image itself does not belong here.
set -euo pipefail

readonly SUITE=bookworm
readonly PACKAGES=python3,python3-pip,ca-certificates
# What pip brought along and nothing at run time asks for.
readonly BUILD_ONLY=(python3-pip python3-setuptools python3-wheel python3-distutils python3-lib2to3 python3-pkg-resources)

say() { printf '%s\n' "$*" >&2; }

# The host's own mirror when it is a Debian of the same suite, else debootstrap's default: a mirror written here would be wrong for someone.
mirror() {
  if [[ -n "${VOLRESIZE_DEBIAN_MIRROR:-}" ]]; then
    printf '%s\n' "$VOLRESIZE_DEBIAN_MIRROR"
    return
  fi
  # shellcheck disable=SC2016 # apt's variable, not ours
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $SUITE" 'Component: main' 2>/dev/null | head -n 1 || true
}

bootstrap() {
  local root=$1 from
  from=$(mirror)
  say "base: debootstrap of Debian $SUITE (about a minute, once)"
  # shellcheck disable=SC2086 # an empty mirror must vanish, not become an empty argument
  debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" $from >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    say "error: debootstrap failed; another mirror can be given in VOLRESIZE_DEBIAN_MIRROR"
    return 1
  }
}

drop_build_packages() {
  local root=$1
  # Through dpkg, so that the package database, which scanners read, tells the truth.
  chroot "$root" dpkg --purge "${BUILD_ONLY[@]}" >>"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    return 1
  }
}

prune() {
  local root=$1
  # The copyright files stay: the licences ask for it.
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  find "$root/usr/share/doc" -type l -delete
  find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
  rm -rf "$root"/usr/share/{man,info,locale,lintian,groff,bash-completion,doc-base} "$root"/usr/share/zoneinfo/right
  rm -rf "$root"/var/cache/apt/* "$root"/var/cache/debconf/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/tmp/* "$root"/var/tmp/*
  # Of the machine that built it, and nobody else's business.
  rm -f "$root"/etc/{resolv.conf,hostname,machine-id} "$root"/var/lib/dbus/machine-id
  find "$root/etc/apt" -name '*.list' -delete
}

archive() {
  local root=$1 file=$2
  # /dev of debootstrap holds device nodes; the container's runtime makes its own.
  tar --create --file "$file.partial" --directory "$root" --numeric-owner --sort=name --one-file-system --exclude='./dev/*' --exclude='./proc/*' \
    --exclude='./sys/*' --xattrs .
  mv "$file.partial" "$file"
}

main() {
  local out=${1:?usage: base.sh DIRECTORY} work
  if [[ $(id -u) != 0 ]]; then
    say "error: debootstrap needs root; use Docker, or name a base image in BASE"
    return 1
  fi
  mkdir -p "$out"
  work=$(mktemp -d "$out/work.XXXXXX")
  # shellcheck disable=SC2064 # the directory of now
  trap "rm -rf --one-file-system '$work'" EXIT
  bootstrap "$work/root"
  prune "$work/root"
  archive "$work/root" "$out/builder.tar"
  drop_build_packages "$work/root"
  prune "$work/root"
  archive "$work/root" "$out/runtime.tar"
}

main "$@"
