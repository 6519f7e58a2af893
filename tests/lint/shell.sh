#!/bin/bash
# Runs shellcheck on every shell script of the checkout, found by its first line.
#
# Usage: tests/lint/shell.sh
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here

main() {
  local -a scripts=()
  local file first
  cd -- "$here/../.."
  while IFS= read -r file; do
    # Binary files have zero bytes, which bash would warn about; an unfinished last line is fine.
    first=$(head -c 64 -- "$file" | tr -d '\0' | head -n 1)
    if [[ $first =~ ^\#!.*[/\ ](ba|da)?sh( |$) ]]; then scripts+=("$file"); fi
  done < <("${REWRAP_PYTHON:-/usr/bin/python3}" "$here/repo_files.py")
  if ((${#scripts[@]} == 0)); then
    echo "shell: no script found" >&2
    exit 1
  fi
  shellcheck -- "${scripts[@]}"
  echo "shell: ${#scripts[@]} scripts"
}

main "$@"
