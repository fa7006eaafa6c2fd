#!/bin/sh
# Makes stand-ins for the images that the Dockerfile names in FROM, where no image registry can be
# reached: from Debian's own packages, by mmdebstrap, and the Rust that is installed here. They get
# the names that FROM asks for, so that the Dockerfile itself is built unchanged.
#
#   tests/container/stand-in.sh            needs root, mmdebstrap, podman, and rustup's toolchain
#
# What differs from the real ones: the package `trixie-slim` leaves out (documentation) is here, and
# the certificates are those of this machine, so that a proxy it trusts is trusted in the build.
set -eu

engine=${ENGINE:-podman}
mirror=${MIRROR:-http://deb.debian.org/debian}
toolchain=$(rustc --print sysroot)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same as docker-library/debian does for `slim`, as far as it matters here.
slim() { # packages, then hooks
    packages=$1
    shift
    mmdebstrap --quiet --variant=minbase --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$@" trixie - "$mirror"
}

echo "debian:trixie-slim"
slim tzdata | "$engine" import --quiet --change 'CMD ["bash"]' - docker.io/library/debian:trixie-slim

echo "rust:1.95-trixie"
mkdir -p "$work/usr/local/cargo/bin" "$work/usr/local/rustup"
cp -rL "$toolchain" "$work/usr/local/rustup/toolchain"
rm -rf "$work/usr/local/rustup/toolchain/share"
for tool in rustc cargo rustdoc; do
    ln -s "/usr/local/rustup/toolchain/bin/$tool" "$work/usr/local/cargo/bin/$tool"
done
tar -C "$work" -cf "$work/rust.tar" usr
certificates=/etc/ssl/certs/ca-certificates.crt
slim build-essential,ca-certificates,curl,git,pkg-config \
    --customize-hook="tar-in $work/rust.tar /" \
    --customize-hook="upload $certificates $certificates" |
    "$engine" import --quiet \
        --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV CARGO_HOME=/usr/local/cargo' \
        - docker.io/library/rust:1.95-trixie

"$engine" images
