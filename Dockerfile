# syntax=docker/dockerfile:1
# Both bases can be replaced, for a mirror or an air-gapped build.
ARG BUILD_BASE=docker.io/library/node:24-slim
ARG BASE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --include=dev
COPY src src
COPY test/house test/house
RUN node test/house/run.mjs build

FROM ${BASE}
WORKDIR /app
COPY --from=build /src/dist dist
COPY --from=build /src/package.json /src/LICENSE* ./
# The agent's DaemonSet asks for root, because root owns the manifests; everything else runs as nobody.
USER 65532:65532
ENV NODE_ENV=production
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/auditconfig.js"]
CMD ["--help"]
