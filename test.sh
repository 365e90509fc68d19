#!/usr/bin/env bash
# Runs all tests, those on mounted drives too. See usage below.
set -euo pipefail

BFS_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
. "$BFS_ROOT/scripts/common.sh"

usage() {
  cat <<'CUT'
Usage: ./test.sh [--fast] [--filter EXPRESSION]

Installs what the tests need, builds everything in Release, runs the tests and removes what they left.
The last line says "N passed, N failed"; the exit code is 0 only if none failed.

  --fast                 leave out the tests that mount drives
  --filter EXPRESSION    only these tests, as in "dotnet test --filter"; for example FullyQualifiedName~Snfsd
  --help                 this text

BFS_TEST_FILES and BFS_TEST_FILE_BYTES make the work on mounted drives larger.
CUT
}

# need COMMAND PACKAGE: installs the package unless the command is there.
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }

# install_tools: the programs that the tests run on drives. What cannot be installed fails in the tests that need it.
install_tools() {
  local missing=()
  need fusermount3 fuse3
  need git git
  need gcc gcc
  need make make
  need sqlite3 sqlite3
  need rsync rsync
  need awk gawk
  need setpriv util-linux
  [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}" ||
    printf 'test.sh: cannot install %s; tests that use them will fail\n' "${missing[*]}" >&2
}

# clean_up: nothing that the tests made outlives them, however they ended. All of it has the scratch directory in its
# name: mount points, and the arguments of replicas and relays.
clean_up() {
  local target process
  awk -v under="$scratch/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | while read -r target; do
    umount -l "$target" 2>/dev/null || fusermount3 -u -z "$target" 2>/dev/null || true
  done
  for process in /proc/[0-9]*; do
    process=${process#/proc/}
    if [ "$process" != $$ ] && tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" | grep -q -F -- "$scratch/"; then
      kill -9 "$process" 2>/dev/null || true
    fi
  done
  rm -rf -- "$scratch"
}

# failures: what was printed for each failed test; the end of a long output shows what to look at.
failures() {
  awk '/^(  (Passed|Skipped) |\[xUnit|Results File)/ { shown = 0 } /^  Failed / { shown = 1 } shown' "$scratch/output"
}

# counter NAME: the sum of one of the counters in the result files.
counter() {
  local sum=0 value
  for value in $(grep -h -o '<Counters [^>]*' "$scratch"/results/*.trx 2>/dev/null | grep -o " $1=\"[0-9]*\"" | tr -dc '0-9\n'); do
    sum=$((sum + value))
  done
  echo "$sum"
}

filter=""
while [ $# -gt 0 ]; do
  case "$1" in
    --fast) filter="Category!=Mounted${filter:+&($filter)}" ;;
    --filter)
      [ $# -ge 2 ] || misused "--filter needs a value"
      filter="${filter:+$filter&}($2)"
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown argument '$1'" ;;
  esac
  shift
done

require_sdk
install_tools
cd "$BFS_ROOT"
say "building ..."
if ! output=$(dotnet build BfsFs.sln -c Release --nologo -v quiet 2>&1); then
  printf '%s\nthe build failed\n0 passed, 1 failed\n' "$output"
  exit 1
fi
touch "$BFS_STAMP" "$BENCH_STAMP"

# realpath: the tests compare paths with those in the mount table.
scratch=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/bfs-test-XXXXXX")")
trap clean_up EXIT
trap 'exit 130' INT TERM
arguments=(--no-build -c Release --nologo --results-directory "$scratch/results" --logger trx --logger "console;verbosity=normal")
[ -z "$filter" ] || arguments+=(--filter "$filter")
code=0
TMPDIR=$scratch dotnet test BfsFs.sln "${arguments[@]}" | tee "$scratch/output" || code=$?

passed=$(counter passed) failed=$(counter failed)
skipped=$(($(counter total) - $(counter executed)))
[ "$skipped" = 0 ] || say "$skipped skipped, which also means not tested"
if [ "$code" != 0 ] && [ "$failed" = 0 ]; then
  say "the test run itself failed with exit code $code"
  failed=1
elif [ "$passed" = 0 ] && [ "$failed" = 0 ]; then
  say "no test was run"
  failed=1
fi
failures
say "$passed passed, $failed failed"
[ "$failed" = 0 ]
