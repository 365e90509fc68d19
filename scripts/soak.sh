#!/usr/bin/env bash
# Kills the primary again and again while programs work on a drive. See usage below.
set -euo pipefail
export LC_ALL=C

BFS_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
. "$BFS_ROOT/scripts/common.sh"
workload=$BFS_ROOT/scripts/workload.sh

usage() {
  cat <<'CUT'
Usage: scripts/soak.sh [--minutes N | --kills N] [--size SIZE] [--report FILE]

Makes a cluster of four local replicas and a drive of its own, lets programs work on it (tar, git, make, sqlite3, rsync;
each round checks what they made), and meanwhile kills the primary with kill -9, whichever replica that is at the time,
starts it again, waits until it has caught up, and so on. Prints for each killed primary the longest time that writing
a small file took, and a summary at the end. Everything it made is removed.

  --minutes N     how long; default 5
  --kills N       until so many primaries were killed
  --size SIZE     of the drive; default 1G
  --report FILE   also write the summary there
  --help          this text

Ends with 0 only if every program did what it should and all replicas have the same state in the end.
CUT
}

millis() { printf '%d' $((($1 + 500) / 1000)); }

# field NAME: a number or word of the answer in $status.
field() { grep -o "\"$1\":[^,}]*" <<<"$status" | head -1 | cut -d: -f2; }

pid_of() { grep -o "\"id\":$1,\"pid\":[0-9]*" <<<"$status" | cut -d: -f3; }

# probe: writes a small file again and again, reads it back, and notes when each write began and how long it took.
probe() {
  local i=0 begin back
  while [ ! -e "$scratch/end" ]; do
    i=$((i + 1)) begin=$(now)
    echo "$i" >"$drive/probe"
    echo "$begin $(($(now) - begin))"
    read -r back <"$drive/probe"
    [ "$back" = "$i" ] || { echo "wrote $i, read $back" >&2; return 1; }
  done >"$scratch/probe.times"
}

# worker: rounds of work until the end; the last one is finished.
worker() {
  local round=0
  while [ ! -e "$scratch/end" ]; do
    round=$((round + 1))
    "$workload" round "$drive/round$round" "$scratch/tree" >"$scratch/work.log" 2>&1 || return 1
    rm -r "$drive/round$round"
    echo "$round" >"$scratch/rounds"
  done
}

# longest FROM TO: of the probe's writes that were under way then, microseconds.
longest() {
  awk -v from="$1" -v to="$2" '$1 + $2 >= from && $1 <= to && $2 > max { max = $2 } END { printf "%d", max }' "$scratch/probe.times"
}

# kill_primary: and start it again. Sets $killed and $caught_up to when.
kill_primary() {
  status=$(run_bfs status --json)
  local victim view pid
  victim=$(field primary) view=$(field view) pid=$(pid_of "$victim")
  killed=$(now)
  kill -9 "$pid"
  while status=$(run_bfs status --json) && [ "$(field view)" -le "$view" ]; do
    [ $(($(now) - killed)) -lt 60000000 ] || die "no new view after 60 s"
  done
  run_bfs replica start "$victim" >/dev/null
  run_bfs status --wait 120 >/dev/null
  caught_up=$(now)
  say "killed replica $victim, primary of view $view; now view $(field view);" \
    "longest write $(millis "$(longest "$killed" "$caught_up")") ms, all caught up after $(millis $((caught_up - killed))) ms"
}

# same_state: whether all replicas come to the same stable checkpoint, now that nothing is done any more.
same_state() {
  local i
  for i in $(seq 120); do
    status=$(run_bfs status --json) || return 1
    [ "$(grep -c . <<<"$(grep -o '"stableCheckpoint":[0-9]*,"stableDigest":"[0-9a-f]*"' <<<"$status" | sort -u)")" != 1 ] ||
      [ "$(grep -o '"reachable":true' <<<"$status" | wc -l)" != 4 ] || return 0
    sleep 0.5
  done
  return 1
}

summary() {
  local stalls=$scratch/stalls times=$scratch/probe.times
  say "$kills primaries killed in $(((($(now) - began)) / 1000000)) s; $(cat "$scratch/rounds" 2>/dev/null || echo 0) rounds of work;" \
    "$(wc -l <"$times") small files written"
  [ "$kills" = 0 ] || sort -n "$stalls" | awk '{ a[NR] = $1 } END { printf "longest write per killed primary, ms: smallest %.0f, median %.0f, largest %.0f\n",
    a[1] / 1000, a[int((NR + 1) / 2)] / 1000, a[NR] / 1000 }'
  sort -n -k 2 "$times" | awk '{ a[NR] = $2 } END { printf "all writes, ms: median %.1f, 99 %% %.1f\n", a[int((NR + 1) / 2)] / 1000,
    a[int(NR * 0.99 + 0.5)] / 1000 }'
  say "longest write while no replica was down, ms: $(millis "$(cat "$scratch/quiet" 2>/dev/null | sort -n | tail -1)")"
}

minutes=5 kills_wanted="" size=1G report=""
while [ $# -gt 0 ]; do
  case "$1" in
    --minutes | --kills)
      need_number "$1" "${2:-}"
      if [ "$1" = --minutes ]; then minutes=$2; else kills_wanted=$2; fi
      shift
      ;;
    --size | --report)
      [ $# -ge 2 ] || misused "$1 needs a value"
      if [ "$1" = --size ]; then size=$2; else report=$(realpath -m -- "$2"); fi
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown argument '$1'" ;;
  esac
  shift
done

throwaway_cluster soak "$size"
run_bfs cluster start >/dev/null
run_bfs mount "$drive" >/dev/null

began=$(now) kills=0
worker &
worker=$!
probe &
probe=$!
while kill -0 "$worker" 2>/dev/null && kill -0 "$probe" 2>/dev/null; do
  if [ -n "$kills_wanted" ]; then [ "$kills" -lt "$kills_wanted" ] || break; else [ $((($(now) - began) / 60000000)) -lt "$minutes" ] || break; fi
  quiet_from=$(now)
  sleep $((1 + RANDOM % 3))
  longest "$quiet_from" "$(now)" >>"$scratch/quiet"
  echo >>"$scratch/quiet"
  kill_primary
  longest "$killed" "$caught_up" >>"$scratch/stalls"
  echo >>"$scratch/stalls"
  kills=$((kills + 1))
done
touch "$scratch/end"
failed=0
wait "$worker" || { failed=1; say "the work failed:"; tail -20 "$scratch/work.log"; }
wait "$probe" || failed=1
same_state || { failed=1; run_bfs status; }
summary | tee ${report:+"$report"}
[ "$failed" = 0 ]
