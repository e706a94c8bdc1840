FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Scripts of packages fetch what only development on other machines needs (Node itself, PostgreSQL for the demo).
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --ignore-scripts --omit=dev --omit=optional

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
# An example that takes its backends and passwords from PGWEIR_... variables; mount your own over it.
COPY config/pgweir.yaml /etc/pgweir/pgweir.yaml
USER node
EXPOSE 6432 6433 9187
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9187/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# A larger nursery: what a query needs is garbage a moment later, and collecting it less often costs less in all.
ENTRYPOINT ["node", "--enable-source-maps", "--min-semi-space-size=16", "--max-semi-space-size=32", "--single-threaded-gc", "dist/main.js"]
CMD ["serve", "-c", "/etc/pgweir/pgweir.yaml"]
