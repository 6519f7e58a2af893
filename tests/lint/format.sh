#!/bin/bash
# Checks that every .h and .cc is laid out as clang-format 14 does it.
#
# Usage: tests/lint/format.sh [--fix]
#
#   --fix   lays the files out instead
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here

main() {
  local -a mode=(--dry-run -Werror) files
  case "${1-}" in
    "") ;;
    --fix) mode=(-i) ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 2 ;;
  esac
  cd -- "$here/../.."
  mapfile -t files < <("${REWRAP_PYTHON:-/usr/bin/python3}" "$here/repo_files.py" .h .cc)
  if ((${#files[@]} == 0)); then
    echo "format: no source file found" >&2
    exit 1
  fi
  clang-format-14 --style=file "${mode[@]}" -- "${files[@]}"
  echo "format: ${#files[@]} files"
}

main "$@"
