# Both bases can be replaced, for a mirror or an air-gapped build. BASE has Node in /nodejs/bin/node, as distroless has.
ARG BUILD_BASE=docker.io/library/node:24-slim
ARG BASE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# No script of a dependency runs. What is only needed to build stays in this stage.
RUN npm ci --ignore-scripts --include=dev
COPY tsconfig.json ./
COPY test/house/build.mjs test/house/
COPY src src
# The bundle alone: `npm run build` would look after node_modules once more.
RUN node --input-type=module -e "import { bundle } from './test/house/build.mjs'; await bundle('/src')"

FROM ${BASE}
WORKDIR /app
# package.json says that the bundle is made of ES modules; nothing is installed from it.
COPY package.json LICENSE ./
COPY --from=build /src/dist dist
# The agent's DaemonSet asks for root, because root owns the manifests; everything else runs as nobody.
USER 65532:65532
# V8 would keep 32 MiB for young objects of a burst long ago; what a controller and an agent do leaves few.
ENV NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=1
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/auditconfig.js"]
CMD ["--help"]
