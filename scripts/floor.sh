#!/usr/bin/env bash
# Counts the system calls that an operation on a drive consists of: what no implementation of the same messages gets below.
set -euo pipefail
export LC_ALL=C

BFS_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
. "$BFS_ROOT/scripts/common.sh"

usage() {
  cat <<'CUT'
Usage: scripts/floor.sh [--count N] [--size SIZE] [--write MIB]

Makes a cluster of four local replicas and a drive of its own, and the same with one unreplicated server. On each, N times
one after the other: a lookup of a name that is missing (read-only), making a directory (read-write), reading a small file
that the kernel has not cached, and writing one. Prints for each operation, at the relay and at all servers together, how often
they slept until something came, as the system counts it (voluntary context switches), and, of as many operations more, the system
calls that strace counted. Then the median latency of a lookup and of a chmod with pauses of 2 ms between them, as of a program that
computes meanwhile; and the processor time that writing takes at the relay and at each server. Everything it made is removed.

  --count N     operations of each kind; default 500
  --size SIZE   of the drives; default 2G
  --write MIB   how much is written; default 512
  --help        this text

Needs strace and python3. The counts are of the operations one by one; under load several share calls. Whoever expects something looks
for it before sleeping: strace, which makes everything slower, counts more calls than there are without it.
CUT
}

count=500 size=2G mib=512
while [ $# -gt 0 ]; do
  case "$1" in
    --count)
      need_number "$1" "${2:-}"
      count=$2
      shift
      ;;
    --write)
      need_number "$1" "${2:-}"
      mib=$2
      shift
      ;;
    --size)
      [ $# -ge 2 ] || misused "$1 needs a value"
      size=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) misused "$1 is not known" ;;
  esac
  shift
done
command -v strace >/dev/null || die "strace is missing: install the package strace"
command -v python3 >/dev/null || die "python3 is missing: install the package python3"

# The processes that serve operations: replica programs, and the relay. Their monitors and key holders do nothing here.
servers() { pgrep -f -- "$scratch/.*BfsReplica.dll run" | while read -r pid; do tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- ' run ' && echo "$pid"; done; }
relay() { pgrep -f -- "bfs.dll relay .*$drive" | head -1; }

# sleeps PID...: how often all their threads have given their processor away to wait.
sleeps() { for pid in "$@"; do cat "/proc/$pid"/task/*/status; done | awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'; }

# operations KIND FIRST: does N of them, on names that are counted from FIRST on.
operations() {
  python3 - "$drive" "$1" "$2" "$count" <<'CUT'
import os, sys
drive, kind, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for i in range(first, first + count):
    if kind == "lookup":
        os.path.exists(f"{drive}/missing{i}")
    elif kind == "mkdir":
        os.mkdir(f"{drive}/directory{i}")
    elif kind == "write":
        with open(f"{drive}/file{i}", "wb", buffering=0) as file:
            file.write(b"x" * 4000)
    elif kind == "read":
        with open(f"{drive}/file{i}", "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.read(8192)
CUT
}

# latencies NAME: of operations with pauses.
latencies() {
  python3 - "$drive" "$1" "$count" <<'CUT'
import os, statistics, sys, time
drive, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = f"{drive}/paused"
open(path, "w").close()
kinds = {"lookup": lambda i: os.path.exists(f"{drive}/nothing{i}"), "chmod": lambda i: os.chmod(path, 0o600 + i % 2)}
for kind, operation in kinds.items():
    took = []
    for i in range(count):
        time.sleep(0.002)
        start = time.perf_counter_ns()
        operation(i)
        took.append(time.perf_counter_ns() - start)
    print(f"{name:7} {kind:7} after a pause of 2 ms: {statistics.median(took) / 1000:.0f} us")
CUT
}

# processor PID...: milliseconds that all their threads have had.
processor() { for pid in "$@"; do cat "/proc/$pid"/task/*/schedstat; done | awk '{ n += $1 } END { printf "%d", n / 1000000 }'; }

# writing NAME: so much at once, after the first 64 MiB.
writing() {
  local at_servers at_relay millis
  write_mib first 64 >/dev/null
  at_servers=$(processor $(servers)) at_relay=$(processor "$(relay)")
  millis=$(write_mib second "$mib")
  at_servers=$(($(processor $(servers)) - at_servers)) at_relay=$(($(processor "$(relay)") - at_relay))
  awk -v name="$1" -v mib="$mib" -v millis="$millis" -v s="$at_servers" -v n="$(servers | wc -l)" -v r="$at_relay" 'BEGIN {
    printf "%-7s write %d MiB: %.2f ms for each; processor time %.2f ms at each server, %.2f at the relay\n", name, mib, millis / mib, s / n / mib, r / mib }'
}

# write_mib NAME MIB: prints the milliseconds that it took, with fsync.
write_mib() {
  python3 - "$drive/$1" "$2" <<'CUT'
import os, sys, time
data = os.urandom(1 << 20)
start = time.perf_counter()
with open(sys.argv[1], "wb", buffering=0) as file:
    for _ in range(int(sys.argv[2])):
        file.write(data)
    os.fsync(file.fileno())
print(round((time.perf_counter() - start) * 1000))
CUT
}

# tally SLEEPS FILE...: for each operation, the sleeps and the calls that matter.
tally() {
  local slept=$1
  shift
  cat "$@" | awk -v n="$count" -v slept="$slept" '
    $2 + 0 == $2 { calls[$1] += $2 }
    END {
      printf " %9.1f", slept / n
      split("recvmmsg sendmmsg read write", names)
      for (i = 1; i <= 4; i++) printf " %9.1f", calls[names[i]] / n
      printf "\n"
    }'
}

# measure NAME OPTION...: one cluster, each kind of operation.
measure() {
  local name=$1 kind pid tracers files at_servers at_relay
  shift
  run_bfs cluster init --size "$size" "$@" >"$scratch/log" 2>&1 && run_bfs cluster start >>"$scratch/log" 2>&1 &&
    run_bfs mount "$drive" >>"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; die "cannot mount"; }
  for kind in lookup mkdir write read; do
    # What the kernel knows of names is to be old.
    sleep 1.5
    at_servers=$(sleeps $(servers)) at_relay=$(sleeps "$(relay)")
    operations "$kind" 0
    at_servers=$(($(sleeps $(servers)) - at_servers)) at_relay=$(($(sleeps "$(relay)") - at_relay))
    tracers=() files=()
    for pid in $(servers) $(relay); do
      strace -c -f -U name,calls -o "$scratch/$pid.calls" -p "$pid" 2>/dev/null &
      tracers+=($!)
    done
    sleep 1
    operations "$kind" "$count"
    kill -INT "${tracers[@]}"
    wait "${tracers[@]}" 2>/dev/null || true
    for pid in $(servers); do files+=("$scratch/$pid.calls"); done
    printf '%-7s %-7s %-8s%s\n' "$name" "$kind" servers "$(tally "$at_servers" "${files[@]}")"
    printf '%-7s %-7s %-8s%s\n' "$name" "$kind" relay "$(tally "$at_relay" "$scratch/$(relay).calls")"
  done
  latencies "$name"
  writing "$name"
  run_bfs unmount "$drive" >/dev/null
  run_bfs cluster stop >/dev/null 2>&1 || true
  rm -rf -- "$BFS_HOME"
}

build_if_needed
find_dotnet || die "dotnet is not found; install the .NET 10 SDK"
scratch=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/bfs-floor-XXXXXX")")
export BFS_HOME=$scratch/home
drive=$scratch/drive
trap throw_away EXIT
trap 'exit 130' INT TERM
mkdir "$drive"
printf '%-7s %-7s %-8s %9s %9s %9s %9s %9s\n' system kind at sleeps recvmmsg sendmmsg read write
measure BFS
measure NO-REP --no-rep
