#!/usr/bin/env bash
# Puts a program named stratum into the folder of the runner: a release whose SHA-256 is known, a
# container by its digest, or one that is installed already.
set -euo pipefail

fail() { # sentence remedy
    printf '::error title=stratum::%s. %s\n' "$1" "$2"
    exit 1
}

folder="${RUNNER_TEMP:?is set by the runner}/stratum-bin"
program="$folder/stratum"
mkdir -p "$folder"

# --- a program that is installed already
if [ -n "${STRATUM_PROGRAM:-}" ]; then
    [ -x "$STRATUM_PROGRAM" ] || fail "there is no program at the path in \`program\`" "Install it in an earlier step"
    ln -sf "$(realpath "$STRATUM_PROGRAM")" "$program"
    exit 0
fi

# --- a container
if [ -n "${STRATUM_CONTAINER:-}" ]; then
    [[ "$STRATUM_CONTAINER" =~ ^[A-Za-z0-9./:_-]+@sha256:[0-9a-f]{64}$ ]] ||
        fail "\`container\` names no digest" "Write it as name@sha256: and 64 digits, so that it cannot become another image"
    engine="$(command -v docker || command -v podman || true)"
    [ -n "$engine" ] || fail "there is no container engine on this runner" "Leave \`container\` out to use a release"
    # The program inside reads the clone, and writes only where the workflow lets it.
    cat >"$program" <<WRAPPER
#!/usr/bin/env bash
set -euo pipefail
mounts=()
for folder in "\$PWD" "\$RUNNER_TEMP" "\$(dirname "\${GITHUB_EVENT_PATH:-/nonexistent/x}")" \\
    "\$(dirname "\${GITHUB_STEP_SUMMARY:-/nonexistent/x}")" "\$(dirname "\${GITHUB_OUTPUT:-/nonexistent/x}")"; do
    if [ -d "\$folder" ]; then mounts+=(--volume "\$folder:\$folder"); fi
done
names=()
while IFS= read -r name; do names+=(--env "\$name"); done < <(compgen -e | grep -E '^(GITHUB|RUNNER|STRATUM)_')
exec '$engine' run --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges --tmpfs=/tmp \\
    --user "\$(id -u):\$(id -g)" --workdir "\$PWD" "\${mounts[@]}" "\${names[@]}" '$STRATUM_CONTAINER' "\$@"
WRAPPER
    chmod +x "$program"
    exit 0
fi

# --- a release
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) processor=x86_64 ;;
    Linux-aarch64 | Linux-arm64) processor=aarch64 ;;
    *) fail "there is no release for $(uname -s) on $(uname -m)" "Use a Linux runner, or build it and name it with \`program\`" ;;
esac
version="${STRATUM_VERSION:-}"
sum="${STRATUM_SHA256:-}"
url="${STRATUM_URL:-}"
pin="$(dirname "${BASH_SOURCE[0]}")/pin"
if [ -z "$version" ]; then
    # shellcheck source=/dev/null
    [ -r "$pin" ] || fail "this version of the action has no release of its own" "Give \`version\`, \`sha256\` and \`url\`, or \`program\`"
    version="$(sed -n 's/^version //p' "$pin")"
    sum="$(sed -n "s/^$processor //p" "$pin")"
    url="${url:-$(sed -n 's/^url //p' "$pin")}"
fi
# Releases lie where the action comes from, unless something else is said.
if [ -z "$url" ] && [ -n "${STRATUM_ACTION_REPOSITORY:-}" ]; then
    url="${STRATUM_SERVER:-https://github.com}/$STRATUM_ACTION_REPOSITORY/releases/download"
fi
[[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail "\`version\` is not a version" "Write it as in 1.2.3"
[[ "$sum" =~ ^[0-9a-f]{64}$ ]] || fail "\`sha256\` is not 64 hexadecimal digits" "It stands in SHA256SUMS of the release"
[[ "$url" =~ ^(https://|http://127\.0\.0\.1[:/]) ]] ||
    fail "\`url\` is not there, or does not begin with https://" "Name with it where the releases are"

file="stratum-$version-$processor-linux"
curl --fail --silent --show-error --location --retry 3 --max-time 300 \
    --output "$folder/$file" "${url%/}/v$version/$file" ||
    fail "$file could not be downloaded" "Look at \`url\` and \`version\`"
if ! printf '%s  %s\n' "$sum" "$folder/$file" | sha256sum --check --status; then
    rm -f "$folder/$file"
    fail "$file has another SHA-256 than was given, and is thrown away" "Compare \`sha256\` with SHA256SUMS of the release"
fi
mv "$folder/$file" "$program"
chmod +x "$program"
