# The image of Espalier: docs/docker.md.
#
#   docker build --build-arg REVISION="$(git rev-parse --short HEAD)" -t espalier .
#
# Both stages take everything from Debian 12. tests/ci/docker.t does what they do, without an engine.

FROM debian:bookworm-slim AS build
WORKDIR /src
# Before the sources, so that a change of these does not fetch the packages again.
COPY tools/setup tools/setup
RUN tools/setup --for build
COPY . .
ARG REVISION=""
RUN ESPALIER_REVISION="$REVISION" tools/docker/install /image

FROM debian:bookworm-slim
COPY tools/docker/runtime-packages /usr/local/share/espalier/runtime-packages
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        $(grep -v '^#' /usr/local/share/espalier/runtime-packages) \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && groupadd --gid 10001 espalier \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/espalier \
        --shell /usr/sbin/nologin espalier \
    && install -d -o espalier -g espalier -m 750 /var/lib/espalier
COPY --from=build /image/ /
RUN ldconfig && espalier --version && espalier-sim --version

ARG REVISION=""
LABEL org.opencontainers.image.title="Espalier" \
      org.opencontainers.image.description="Click and install models that learn from event topics" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="debian:bookworm-slim"

# By number, so that an engine can tell that it is not root.
USER 10001:10001
# Where espalier.ini is looked for; all that is written goes to the volume.
WORKDIR /etc/espalier
VOLUME /var/lib/espalier
EXPOSE 9464
# The first one ends a run in good order: the batch under way is finished, outputs are flushed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/local/libexec/espalier/healthcheck"]
ENTRYPOINT ["espalier"]
CMD ["train", "--follow"]
