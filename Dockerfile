# The reconciler in a container: small, not root, on a read-only file system.
#
#   docker build -t stratum .                          builds everything in the container
#   docker build -t stratum --target prebuilt .        takes dist/stratum, built on Debian 13
#   docker build -t stratum --build-arg LTO=off --build-arg OPT=0 .   a slower program in less time
#
# The images that FROM needs are named by tag; a build that must be repeatable pins their digests:
#   --build-arg RUST=docker.io/library/rust@sha256:... --build-arg BASE=docker.io/library/debian@sha256:...
# How to run it, with compose and on Kubernetes: reconciler/deploy/README.md.
ARG RUST=docker.io/library/rust:1.95-trixie
ARG BASE=docker.io/library/debian:trixie-slim

# Everything but the program.
FROM ${BASE} AS base
LABEL org.opencontainers.image.title="stratum" \
      org.opencontainers.image.description="A GitOps reconciler" \
      org.opencontainers.image.licenses="Apache-2.0"
# git fetches and pushes; ssh is for remotes that are reached by it.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git libssl3t64 openssh-client \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && groupadd --gid 10001 stratum \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/stratum \
       --shell /usr/sbin/nologin stratum \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/stratum
USER 10001:10001
WORKDIR /var/lib/stratum
ENV HOME=/var/lib/stratum \
    XDG_STATE_HOME=/var/lib/stratum \
    LANG=C.UTF-8
# State, mirror and what local resources make: the only place that is written, besides /tmp.
VOLUME /var/lib/stratum
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["stratum", "probe", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["stratum"]
CMD ["reconcile", "--listen", "0.0.0.0:8080"]

FROM base AS prebuilt
COPY --chmod=0755 dist/stratum /usr/local/bin/stratum

FROM ${RUST} AS build
# libssl-dev is the OpenSSL that Debian maintains, 3.5 in trixie; cmake builds the TLS of the forge.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# As in Cargo.toml.
ARG LTO=thin
ARG OPT=3
# Without the feature `vendored` OpenSSL is linked from the system, so Debian's security updates reach
# it when the image is built again; without the others it is the only one that seals and opens.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    CARGO_PROFILE_RELEASE_LTO=$LTO CARGO_PROFILE_RELEASE_OPT_LEVEL=$OPT \
    cargo build --locked --release --no-default-features \
    && install -D target/release/stratum /out/stratum \
    && strip /out/stratum

FROM base
COPY --from=build --chmod=0755 /out/stratum /usr/local/bin/stratum
