#!/usr/bin/env bash
# Lets programs work on a drive whose replicas recover all the time, and compares with work without recoveries.
set -euo pipefail
export LC_ALL=C

BFS_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
. "$BFS_ROOT/scripts/common.sh"
workload=$BFS_ROOT/scripts/workload.sh

usage() {
  cat <<'CUT'
Usage: scripts/watchdog.sh [--minutes N] [--window SECONDS] [--size SIZE]

Makes a cluster of four local replicas and a drive of its own. Rounds of work (tar, git, make, sqlite3, rsync; each checks
what it made) run first for a quarter of the time without recoveries, then for N minutes with a watchdog of SECONDS at each
replica, then again for a quarter without. Prints how often each replica recovered, and what a round took with and
without. Everything it made is removed.

  --minutes N        how long with recoveries; default 10
  --window SECONDS   T_w (thesis §4.3.3); default 60
  --size SIZE        of the drive; default 1G
  --help             this text

Ends with 0 only if every program did what it should and every recovery succeeded, at least two for each replica.
CUT
}

# work NAME SECONDS T_w: rounds of work with that watchdog; a line with microseconds for each in $scratch/NAME.
work() {
  local end round=0 begin
  set_watchdog "$3"
  run_bfs cluster start >"$scratch/mount.log" 2>&1 && run_bfs mount "$drive" >>"$scratch/mount.log" 2>&1 || { cat "$scratch/mount.log" >&2; die "cannot mount"; }
  # One round warms everything up.
  "$workload" round "$drive/warm" "$scratch/tree" >"$scratch/work.log" 2>&1 || { tail "$scratch/work.log" >&2; die "the work failed"; }
  end=$(($(now) + $2 * 1000000))
  while [ "$(now)" -lt "$end" ]; do
    round=$((round + 1)) begin=$(now)
    "$workload" round "$drive/round$round" "$scratch/tree" >"$scratch/work.log" 2>&1 || { tail "$scratch/work.log" >&2; die "the work failed"; }
    echo $(($(now) - begin)) >>"$scratch/$1"
    rm -r "$drive/round$round"
    [ ! -t 1 ] || printf '\r%s: round %d ' "$1" "$round"
  done
  rm -r "$drive/warm"
  run_bfs unmount "$drive" >/dev/null
  run_bfs cluster stop >/dev/null 2>&1 || true
}

# mean FILE...: seconds.
mean() { cat "$@" | awk '{ sum += $1 } END { printf "%.2f", sum / NR / 1e6 }'; }

minutes=10 window=60 size=1G
while [ $# -gt 0 ]; do
  case "$1" in
    --minutes | --window)
      need_number "$1" "${2:-}"
      if [ "$1" = --minutes ]; then minutes=$2; else window=$2; fi
      shift
      ;;
    --size)
      [ $# -ge 2 ] || misused "$1 needs a value"
      size=$2
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown argument '$1'" ;;
  esac
  shift
done

throwaway_cluster watchdog "$size"

work before $((minutes * 15)) 0
work with $((minutes * 60)) "$window"
work after $((minutes * 15)) 0

failed=0
for id in 0 1 2 3; do
  # One may have been cut short when the work was over.
  all=$(run_bfs recoveries "$id" --json | grep '"cause":"watchdog"' | grep -vc 'was stopped before' || true)
  good=$(run_bfs recoveries "$id" --json | grep '"cause":"watchdog"' | grep -c '"outcome":"recovered"' || true)
  say "replica $id: $all recoveries, $good of them succeeded"
  [ "$good" -ge 2 ] && [ "$good" = "$all" ] || failed=1
done
say "rounds of work: $(wc -l <"$scratch/with") with recoveries, $(mean "$scratch/with") s each;" \
  "$(cat "$scratch/before" "$scratch/after" | wc -l) without, $(mean "$scratch/before" "$scratch/after") s each"
say "ratio: $(awk -v a="$(mean "$scratch/with")" -v b="$(mean "$scratch/before" "$scratch/after")" 'BEGIN { printf "%.3f", a / b }')"
exit $failed
