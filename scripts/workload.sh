#!/usr/bin/env bash
# Work of ordinary programs on a drive that checks what it made.
#   workload.sh make-tree DIRECTORY FILES   a tree of files to work with
#   workload.sh round DIRECTORY TREE        everything once, in a new directory; fails at the first thing that is wrong
# A program of its own, because "set -e" does not hold in what a caller tests with || or if.
set -euo pipefail

# make_tree DIRECTORY FILES: files of 0 to about 40 000 bytes, the same every time.
make_tree() {
  local i
  for i in $(seq 20); do mkdir -p "$1/d$i/e"; done
  awk -v dir="$1" -v files="$2" 'BEGIN { srand(7); for (i = 0; i < files; i++) {
    file = sprintf("%s/d%d/e/file%d", dir, i % 20 + 1, i); lines = int(rand() ^ 4 * 2000); printf "" > file
    for (l = 0; l < lines; l++) { printf "%d line %d of file %d\n", rand() * 1000000, l, i > file } close(file) } }'
}

work_tar() {
  mkdir untar
  tar c -C "$1" . | tar x -C untar
  diff -r "$1" untar
}

work_git() {
  git init -q repository
  (
    cd repository
    git config user.email test@example.com
    git config user.name Test
    for i in $(seq 20); do
      echo "line $i" >>"file$((i % 5))"
      git add -A
      git commit -q -m "commit $i"
    done
    git gc -q
    git fsck --strict --no-progress
    [ "$(git log --oneline | wc -l)" = 20 ]
    [ -z "$(git status --porcelain)" ]
  )
}

work_make() {
  mkdir program
  (
    cd program
    for i in $(seq 12); do echo "int f$i(int x) { return x + $i; }" >"f$i.c"; done
    {
      echo '#include <stdio.h>'
      for i in $(seq 12); do echo "int f$i(int);"; done
      echo 'int main(void) { int s = 0;'
      for i in $(seq 12); do echo "s = f$i(s);"; done
      echo 'printf("%d\n", s); return 0; }'
    } >main.c
    printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n' >Makefile
    make -s -j2
    [ "$(./program)" = 78 ]
  )
}

# Each statement is a transaction of its own.
work_sqlite() {
  {
    echo 'create table t(id integer primary key, text text);'
    for i in $(seq 100); do echo "insert into t values($i, 'row number $i');"; done
  } | sqlite3 database
  [ "$(sqlite3 database 'pragma integrity_check; select count(*), sum(id) from t;' | tr '\n' ' ')" = "ok 100|5050 " ]
}

work_rsync() {
  rsync -a "$1/" copy/
  [ -z "$(rsync -a -i "$1/" copy/)" ]
  diff -r "$1" copy
}

case "${1:-}" in
  make-tree) make_tree "$2" "$3" ;;
  round)
    mkdir "$2"
    cd "$2"
    work_tar "$3"
    work_git
    work_make
    work_sqlite
    work_rsync "$3"
    ;;
  *)
    echo "usage: workload.sh make-tree DIRECTORY FILES | round DIRECTORY TREE" >&2
    exit 2
    ;;
esac
