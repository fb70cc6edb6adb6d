# The Longhaul worker. Debian, not Alpine: Temporal's native core needs glibc.
FROM node:20.20.2-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

FROM base AS build
# No package's install script is needed, and none is run.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

FROM base AS runtime
ENV NODE_ENV=production
# Threads that write Parquet come and go: with an arena of memory for each, glibc gives little of it back.
ENV MALLOC_ARENA_MAX=2
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY --from=build /app/bin ./bin
COPY --from=build /app/dist ./dist

ENV LONGHAUL_CONFIG=/etc/longhaul/longhaul.yaml
USER node
# Healthy = the Temporal server has lately seen this container ask for work.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 CMD ["node", "bin/worker-health.js"]
CMD ["node", "bin/longhaul.js", "worker"]
