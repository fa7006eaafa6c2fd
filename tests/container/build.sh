#!/bin/sh
# Builds the image and runs it as a stranger would, and looks at what a stranger would see.
#
#   tests/container/build.sh               builds everything in the container
#   TARGET=prebuilt tests/container/build.sh    takes dist/stratum, which must be built on Debian 13
#   LTO=off OPT=0 tests/container/build.sh      builds a slower program in less time
#
# Needs podman or docker, and the images that the Dockerfile names (stand-in.sh makes them).
set -eu
cd "$(dirname "$0")/../.."

engine=${ENGINE:-podman}
image=stratum:test
. tests/container/shop.sh
network=${NETWORK:-host}
# The health check of the image asks this one.
port=8080
if [ "$engine" = podman ]; then
    # OCI images have no health check; the format of docker has.
    set -- --format docker
fi
[ -z "${TARGET:-}" ] || set -- "$@" --target "$TARGET"
"$engine" build "$@" --network "$network" \
    --build-arg "LTO=${LTO:-thin}" --build-arg "OPT=${OPT:-3}" -t "$image" .

say() { printf '\n== %s\n' "$*"; }
work=$(mktemp -d)
container=""
end() {
    [ -z "$container" ] || "$engine" rm -f "$container" >/dev/null 2>&1
    [ ! -d "$work/shop.git" ] || give_shop_to "$(id -u):$(id -g)"
    rm -rf "$work"
}
trap end EXIT

say "size and user"
"$engine" image inspect "$image" --format '{{.Size}} bytes, user {{.Config.User}}'
run() { "$engine" run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL \
    --security-opt no-new-privileges "$image" "$@"; }
run --version
"$engine" run --rm --entrypoint id "$image"
say "OpenSSL of the distribution"
"$engine" run --rm --entrypoint sh "$image" -c 'dpkg -s libssl3t64 | grep ^Version; ldd /usr/local/bin/stratum | grep -E "ssl|crypto" || echo "linked in"'

say "a push is applied inside"
# The container reaches the repository as a remote, and keeps a mirror.
make_shop
container=$("$engine" run -d --network "$network" --read-only --tmpfs /tmp --cap-drop ALL \
    --security-opt no-new-privileges -e STRATUM_REPO=file:///srv/shop.git \
    -v "$work/shop.git:/srv/shop.git" "$image" reconcile --listen "127.0.0.1:$port")
for _ in $(seq 60); do
    "$engine" exec "$container" stratum probe "http://127.0.0.1:$port/healthz" 2>/dev/null && break
    sleep 0.5
done
sleep 3
"$engine" exec "$container" stratum status
git -c safe.directory="*" -C "$work/shop.git" log --format='record in the repository: %s' -1 stratum/records
"$engine" exec "$container" sh -c 'cat "$HOME"/stratum/*/world/staging/a; touch /usr/x 2>&1 || true; id'
if [ "$engine" = podman ]; then
    say "health check of the image: well, then hanging, then well again"
    process=$(podman inspect "$container" --format '{{.State.Pid}}')
    health() { podman healthcheck run "$container" >/dev/null && echo healthy || echo unhealthy; }
    health
    kill -STOP "$process"
    health
    kill -CONT "$process"
    health
fi
say "stopping"
started=$(date +%s)
"$engine" stop -t 30 "$container" >/dev/null
echo "stopped within $(($(date +%s) - started)) s with $("$engine" inspect "$container" --format '{{.State.ExitCode}}')"
"$engine" logs "$container" 2>&1 | tail -5
