#!/bin/sh
# Plays the manifest for Kubernetes with Podman, and asks what a kubelet would ask.
#
#   tests/container/build.sh && tests/container/kubernetes.sh     needs podman, catatonit, curl, and the image
#
# Podman knows no StatefulSet, so the Pod and the volume claim that its controller would make are cut
# out of it. Nothing else is changed but what a user must fill in: the image, the repository, and how
# it is reached. Podman asks an `httpGet` probe by curl in the container, where there is none, so
# what the probes answer is asked from outside, as a kubelet does.
set -eu
cd "$(dirname "$0")/../.."

engine=podman
image=${IMAGE:-localhost/stratum:test}
manifest=reconciler/deploy/kubernetes.yaml
. tests/container/shop.sh
work=$(mktemp -d)
end() {
    podman pod rm -f stratum-0 >/dev/null 2>&1 || true
    podman volume rm state-stratum-0 >/dev/null 2>&1 || true
    [ ! -d "$work/shop.git" ] || give_shop_to "$(id -u):$(id -g)"
    rm -rf "$work"
}
trap end EXIT
say() { printf '\n== %s\n' "$*"; }

make_shop
{
    printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: state-stratum-0 }\n'
    awk '/^---/ { on = 0 } on && /^      spec:/ { spec = 1 } spec && on { print substr($0, 7) }
         /^  volumeClaimTemplates:/ { on = 1 }' "$manifest"
    printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: { name: stratum-0 }\n'
    awk '/^    spec:/ { on = 1 } /^  volumeClaimTemplates:/ { on = 0 } on { print substr($0, 5) }' "$manifest" |
        sed -e "s|image: .*|image: $image|" -e 's|https://git.example.org/.*|file:///srv/shop.git|' \
            -e 's|^      volumeMounts:|&\n        - { name: repo, mountPath: /srv/shop.git }|'
    printf '    - name: state\n      persistentVolumeClaim: { claimName: state-stratum-0 }\n'
    printf '    - name: repo\n      hostPath: { path: %s }\n' "$work/shop.git"
} >"$work/pod.yaml"

address=http://127.0.0.1:8080
container=stratum-0-stratum
# As a kubelet: an answer from 200 to 399 within five seconds.
probe() { curl -fs -m 5 -o /dev/null "$address$1"; }
until_well() {
    for _ in $(seq 60); do
        probe /healthz && probe /readyz && return
        sleep 0.5
    done
    echo "it did not become ready" >&2
    podman logs "$container" >&2
    exit 1
}
say "played, alive and ready"
podman kube play --quiet "$work/pod.yaml"
until_well
podman exec "$container" stratum status
podman exec "$container" sh -c 'id; touch /usr/x 2>&1 || true; grep -E "CapEff|NoNewPrivs" /proc/self/status'

say "hangs: not alive, so it would be restarted"
process=$(podman inspect "$container" --format '{{.State.Pid}}')
kill -STOP "$process"
if probe /healthz; then
    echo "a reconciler that hangs is called alive" >&2
    exit 1
fi
echo "no answer to /healthz within 5 s"
kill -CONT "$process"
until_well
echo "alive again"

say "killed: the Pod starts it again, on the same volume"
kill -KILL "$process"
sleep 3
until_well
podman exec "$container" stratum status
podman exec "$container" stratum history

say "stopping"
started=$(date +%s)
podman pod stop -t 120 stratum-0 >/dev/null
echo "stopped within $(($(date +%s) - started)) s with $(podman inspect "$container" --format '{{.State.ExitCode}}')"
