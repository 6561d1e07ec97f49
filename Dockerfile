# The Node version is stated here once; every stage takes it from this line or from --build-arg.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No dependency needs its install script, so none gets to run one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig*.json ./
COPY src ./src
RUN npm run build

# A stage of its own rather than `npm prune` above: it stays cached as long as the lock file does not change.
# The optional packages are a native decoder that BullMQ never calls, and TypeScript, an optional peer of valibot's.
FROM ${NODE_IMAGE} AS production-dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="order-expiry" \
      org.opencontainers.image.description="Cancels orders left unpaid past their payment deadline" \
      org.opencontainers.image.licenses="MIT"
# Node takes memory by what the machine has, and lets a flood of requests fill hundreds of MB before it clears up. The daemon
# itself needs 60 MB of it.
ENV NODE_ENV=production \
    NODE_OPTIONS=--max-old-space-size=256
WORKDIR /app
# Owned by root: the daemon cannot change its own code. It writes no file at all, so the root may be read-only.
COPY --from=production-dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# The pages show it: the runbook must be at hand where there is no internet.
COPY docs/*.md ./docs/
COPY package.json ./
# By number, because Kubernetes' runAsNonRoot cannot tell who a name is.
USER 1000:1000
EXPOSE 3000
# Liveness, not readiness: a container must not be restarted because Redis is away. Asks where the server listens.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["node", "-e", "\
  const { HTTP_HOST: host = '', HTTP_PORT: port } = process.env; \
  const address = ['', '0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host; \
  fetch(`http://${address}:${port || 3000}/livez`, { signal: AbortSignal.timeout(3000) }) \
    .then(({ ok }) => process.exit(ok ? 0 : 1))"]
# Node itself is process 1, so that it and not a shell receives SIGTERM. SIGUSR1 would open its inspector, and with it the
# secrets in its memory, to whoever may send a signal. Within a small bound, V8 looks through all of its memory each time that 10 MB
# have been added, unless it is told to wait until there is as much again. Without "--", Node reads the file of an --env-file itself.
ENTRYPOINT ["node", "--enable-source-maps", "--disable-sigusr1", "--heap-growing-percent=100", "--", "/app/dist/cli.js"]
CMD ["start"]
