#!/usr/bin/env bash
# Runs the one command that does everything. It ends as the command ends: 0 when all is well, 1 when
# the files have errors, 4 when policy denies the plan.
set -euo pipefail

options=()
if [ -n "${STRATUM_BASE:-}" ]; then options+=(--base "$STRATUM_BASE"); fi
case "${STRATUM_SILENT:-false}" in
    true) options+=(--silent) ;;
    false) ;;
    *)
        printf '::error title=stratum::%s\n' "\`silent\` is neither true nor false"
        exit 1
        ;;
esac
# Empty is not a login.
if [ -z "${STRATUM_GITHUB_AUTHOR:-}" ]; then unset STRATUM_GITHUB_AUTHOR; fi
# The variables of this script are not the program's.
folder="${STRATUM_FOLDER:-.}"
unset STRATUM_BASE STRATUM_SILENT STRATUM_FOLDER

cd "$folder"
exec "${RUNNER_TEMP:?is set by the runner}/stratum-bin/stratum" pull-request "${options[@]}"
