# Shared by the scripts: finding what is needed, building only when something has changed, drives that are thrown away.
# The caller has set BFS_ROOT to the directory of the project.

BFS_DLL="$BFS_ROOT/BfsClient/bin/Release/net10.0/bfs.dll"
BFS_STAMP="$BFS_ROOT/BfsClient/bin/Release/.built"
BENCH_DLL="$BFS_ROOT/benchmarks/bin/Release/net10.0/bfs-bench.dll"
BENCH_STAMP="$BFS_ROOT/benchmarks/bin/Release/.built"

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# misused MESSAGE: the script was called wrongly.
misused() { printf '%s: %s\nTry %s --help.\n' "$(basename "$0")" "$1" "$0" >&2; exit 2; }

# need_number OPTION VALUE: the option's value must be a positive number.
need_number() { [[ "$2" =~ ^[1-9][0-9]{0,5}$ ]] || misused "$1 needs a number"; }

# as_root COMMAND...: as we are when we are root, else through sudo; fails when neither is possible.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    return 1
  fi
}

# install_packages NAME...: installs Debian packages; fails when that is not possible here.
install_packages() {
  command -v apt-get >/dev/null 2>&1 || return 1
  say "installing $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1 ||
    { as_root apt-get update -q >/dev/null 2>&1 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null; }
}

# find_dotnet: puts a dotnet on the PATH if there is one in a usual place.
find_dotnet() {
  command -v dotnet >/dev/null 2>&1 && return 0
  local place
  for place in "${DOTNET_ROOT:-}" "$HOME/.dotnet" /usr/share/dotnet /usr/lib/dotnet /usr/local/share/dotnet; do
    if [ -n "$place" ] && [ -x "$place/dotnet" ]; then
      export DOTNET_ROOT="$place" PATH="$place:$PATH"
      return 0
    fi
  done
  return 1
}

# require_sdk: the .NET 10 SDK, installed through the system's packages if they have it.
require_sdk() {
  find_dotnet && dotnet --list-sdks 2>/dev/null | grep -q '^10\.' && return 0
  if command -v apt-cache >/dev/null 2>&1 && apt-cache show dotnet-sdk-10.0 >/dev/null 2>&1; then
    install_packages dotnet-sdk-10.0 && find_dotnet && return 0
  fi
  die "the .NET 10 SDK is needed and was not found.
Install the package dotnet-sdk-10.0 of your distribution, or follow
https://learn.microsoft.com/dotnet/core/install/linux and make sure that 'dotnet --list-sdks' shows 10.0."
}

# build_is_fresh DLL STAMP: whether the binaries are newer than everything they are made of (directories too: files may be gone).
build_is_fresh() {
  local sources=(BfsCore BfsReplica BfsClient Directory.Build.props Directory.Packages.props .editorconfig BannedSymbols.txt)
  [ "$1" != "$BENCH_DLL" ] || sources+=(benchmarks)
  [ -f "$1" ] && [ -f "$2" ] && [ -z "$(cd "$BFS_ROOT" && find "${sources[@]}" \
    \( -name bin -o -name obj \) -prune -o -newer "$2" -print -quit)" ]
}

# build_unless_fresh DLL STAMP PROJECT...: those projects, in Release; quiet unless one fails.
build_unless_fresh() {
  local dll=$1 stamp=$2 output project lock="$BFS_ROOT/BfsClient/obj"
  shift 2
  build_is_fresh "$dll" "$stamp" && return 0
  require_sdk
  printf 'building BFS ... ' >&2
  mkdir -p "$lock"
  # Two at once would write over each other.
  exec 9>"$lock/.build-lock"
  flock 9
  if ! build_is_fresh "$dll" "$stamp"; then
    for project in "$@"; do
      output=$(cd "$BFS_ROOT" && dotnet build "$project" -c Release --nologo -v quiet 2>&1) ||
        { printf 'failed\n%s\n' "$output" >&2; exit 1; }
    done
    touch "$stamp"
  fi
  exec 9>&-
  printf 'done\n' >&2
}

# build_if_needed: what runs.
build_if_needed() { build_unless_fresh "$BFS_DLL" "$BFS_STAMP" scripts/run.slnf; }

# build_benchmarks_if_needed: what runs, and what measures it.
build_benchmarks_if_needed() {
  build_if_needed
  build_unless_fresh "$BENCH_DLL" "$BENCH_STAMP" benchmarks/BfsBench.csproj
}

# run_bfs ARGUMENTS...: the bfs command.
run_bfs() { dotnet "$BFS_DLL" "$@"; }

# now: microseconds.
now() { printf '%s' "${EPOCHREALTIME/./}"; }

# throwaway_cluster NAME SIZE: builds, and makes a cluster with a drive's mount point and a source tree to work with, all of
# which is gone when the script ends. Sets scratch, drive and BFS_HOME. A file named "end" there tells background work to end.
throwaway_cluster() {
  build_if_needed
  find_dotnet || die "dotnet is not found; install the .NET 10 SDK"
  scratch=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/bfs-$1-XXXXXX")")
  export BFS_HOME=$scratch/home
  drive=$scratch/drive
  trap throw_away EXIT
  trap 'exit 130' INT TERM
  mkdir "$drive"
  "$workload" make-tree "$scratch/tree" 300
  run_bfs cluster init --size "$2" >/dev/null
  # Watchdogs go by the time of the day, and would start a replica that a script has killed.
  set_watchdog 0
}

# set_watchdog SECONDS: T_w of the cluster in BFS_HOME, from its next start on; 0: never.
set_watchdog() { sed -i "s/\"watchdogSeconds\": *[0-9]*/\"watchdogSeconds\": $1/" "$BFS_HOME/cluster.json"; }

throw_away() {
  touch "$scratch/end"
  run_bfs unmount --lazy "$drive" >/dev/null 2>&1 || true
  run_bfs cluster stop --force >/dev/null 2>&1 || true
  rm -rf -- "$scratch"
}
