#!/usr/bin/env bash
# Mounts a BFS drive with one command: installs what is missing, builds, makes a cluster if there is none, starts its
# replicas and mounts it. See usage below.
set -euo pipefail

BFS_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
. "$BFS_ROOT/scripts/common.sh"

usage() {
  cat <<'END'
Usage: ./mount.sh [options] MOUNTPOINT
       ./mount.sh --unmount MOUNTPOINT

Mounts a BFS drive on MOUNTPOINT, which is made if it does not exist. The first time it makes a
cluster of replicas on this machine; later it takes up the same one with all its files.

  --cluster DIR    the cluster's directory (default: $BFS_HOME, or ~/.bfs)
  --replicas N     for a new cluster: how many replicas, 3f+1 (default: 4)
  --size 16G       for a new cluster: the drive's size (default: 16G)
  --no-rep         one unreplicated server instead, in a directory of its own
  --foreground     stay until the drive is unmounted; Ctrl-C unmounts
  --unmount        unmount, and stop the replicas that were started for it
  --help           this text

Examples:
  ./mount.sh ~/bfs
  ./mount.sh --unmount ~/bfs
  ./mount.sh --cluster /srv/bfs --replicas 7 --size 64G /mnt/bfs
END
}

need_fuse() {
  if ! command -v fusermount3 >/dev/null 2>&1; then
    install_packages fuse3 || [ "$(id -u)" = 0 ] ||
      die "fusermount3 is missing and cannot be installed from here; run: sudo apt-get install fuse3"
  fi
  if [ ! -e /dev/fuse ]; then
    as_root modprobe fuse 2>/dev/null || true
    [ -e /dev/fuse ] || die "/dev/fuse does not exist: load the kernel module (modprobe fuse), or pass the device to the container"
  fi
}

# mounted_source: what is mounted on the mount point, as "TYPE SOURCE"; nothing when nothing is.
mounted_source() {
  awk -v at="$1" '{ gsub(/\\040/, " ", $1); gsub(/\\040/, " ", $2) } $2 == at { found = $3 " " $1 } END { print found }' /proc/self/mounts
}

stop_started() { run_bfs cluster stop --cluster "$cluster" --if-started-for-mount || true; }

mountpoint="" cluster="" replicas="" size="" no_rep="" foreground="" unmount=""
while [ $# -gt 0 ]; do
  case "$1" in
    --cluster | --replicas | --size)
      [ $# -ge 2 ] || misused "$1 needs a value"
      declare "${1#--}=$2"
      shift
      ;;
    --no-rep) no_rep=1 ;;
    --foreground) foreground=1 ;;
    --unmount) unmount=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) misused "unknown option '$1'" ;;
    *)
      [ -z "$mountpoint" ] || misused "one mount point, please: '$mountpoint' or '$1'"
      mountpoint=$1
      ;;
  esac
  shift
done
[ -n "$mountpoint" ] || misused "which mount point?"

if [ -n "$unmount" ]; then
  build_if_needed
  find_dotnet || require_sdk
  arguments=(unmount "$mountpoint" --stop-started)
  [ -z "$cluster" ] || arguments+=(--cluster "$cluster")
  exec dotnet "$BFS_DLL" "${arguments[@]}"
fi

if [ -z "$cluster" ]; then
  cluster=${BFS_HOME:-$HOME/.bfs}${no_rep:+-no-rep}
fi
mkdir -p -m 700 "$cluster"
cluster=$(cd "$cluster" && pwd -P)

[ ! -e "$mountpoint" ] || [ -d "$mountpoint" ] || die "$mountpoint is not a directory"
need_fuse
find_dotnet || require_sdk
build_if_needed

# A stale mount, which cannot be looked at, is left to bfs: it clears it.
absolute=$(realpath -m -- "$mountpoint" 2>/dev/null || printf '%s' "$mountpoint")
if [ "$(mounted_source "$absolute")" = "fuse.bfs bfs:$cluster" ] && stat -- "$absolute" >/dev/null 2>&1; then
  say "$absolute is mounted already; unmount with: $0 --unmount $mountpoint"
  exit 0
fi
[ -n "$(mounted_source "$absolute")" ] || mkdir -p -- "$mountpoint" || die "cannot make the mount point $mountpoint"

if [ ! -e "$cluster/cluster.json" ]; then
  arguments=(cluster init --cluster "$cluster")
  [ -z "$replicas" ] || arguments+=(--replicas "$replicas")
  [ -z "$size" ] || arguments+=(--size "$size")
  [ -z "$no_rep" ] || arguments+=(--no-rep)
  run_bfs "${arguments[@]}"
elif [ -n "$replicas$size" ]; then
  say "the cluster in $cluster exists: --replicas and --size have no effect on it"
fi

run_bfs cluster start --cluster "$cluster" --for-mount
if [ -n "$foreground" ]; then
  # Ctrl-C is for the drive; this script goes on to stop the replicas.
  trap ':' INT TERM
  code=0
  run_bfs mount "$mountpoint" --cluster "$cluster" --foreground || code=$?
  stop_started
  exit "$code"
fi
code=0
run_bfs mount "$mountpoint" --cluster "$cluster" || code=$?
if [ "$code" != 0 ]; then
  stop_started
  exit "$code"
fi
say "how the replicas are:     ./bfs status --cluster $cluster"
say "unmount and stop them:    ./mount.sh --unmount $mountpoint"
