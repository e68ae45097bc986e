# shellcheck shell=bash
# Starting servers that outlive us, and knowing them again: a number alone proves nothing, after a kill it soon belongs to somebody else.

# When the process began, in ticks since boot, which together with the boot names it for good. The name in field 2 may hold spaces and parentheses.
started_at() {
  local line fields
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${line##*) }"
  # A zombie has ended; only its parent has not noticed.
  [[ ${fields[0]} != Z ]] && printf '%s\n' "${fields[19]}"
}

boot() { cat /proc/sys/kernel/random/boot_id; }

# Pipes of the caller's, which would wait for us for ever, and the lock, which would never be free again.
close_inherited() {
  local fd
  for fd in "/proc/$BASHPID/fd/"*; do
    fd=${fd##*/}
    if ((fd > 2)); then
      eval "exec $fd>&-"
    fi
  done
}

# start NAME NETNS|- COMMAND...
start() {
  local name=$1 netns=$2 enter=() log=$CLUSTER_DIR/logs/$1.log pid
  shift 2
  # Not `ip netns exec`: it gives the process a /sys of its own, without cgroups.
  [[ "$netns" == - ]] || enter=(nsenter "--net=/run/netns/$netns")
  mkdir -p "$CLUSTER_DIR/logs" "$CLUSTER_DIR/pids"
  (
    cd /
    join_cgroup
    close_inherited
    exec setsid "${enter[@]}" "$@" </dev/null >>"$log" 2>&1
  ) &
  pid=$!
  printf '%s %s %s\n' "$pid" "$(started_at "$pid")" "$(boot)" >"$CLUSTER_DIR/pids/$name"
}

# running FILE: whether the process that this pid file was written for is still alive.
running() {
  local pid started boot
  read -r pid started boot 2>/dev/null <"$1" || return 1
  [[ "$pid" =~ ^[0-9]+$ && -n "$started" && "$boot" == "$(boot)" && "$started" == "$(started_at "$pid")" ]]
}

running_pids() {
  local file
  for file in "$CLUSTER_DIR/pids/"*; do
    if running "$file"; then
      cut -d ' ' -f 1 "$file"
    fi
  done
}

all_running() {
  local name
  for name in "$@"; do
    running "$CLUSTER_DIR/pids/$name" || {
      printf '%s does not run\n' "$name"
      return 1
    }
  done
}
