# Build with everything, run with what is needed, as a user who owns nothing but /data.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY appliance/package.json appliance/
COPY appliance/no-telemetry appliance/no-telemetry
COPY docs/client/package.json docs/client/
RUN npm ci
COPY . .
RUN npm run build
# The image has its own Node.js 24.
RUN npm prune --omit=dev && rm -rf node_modules/node-linux-* node_modules/.bin/node

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="Meterflow" org.opencontainers.image.licenses="Apache-2.0"
# 0.0.0.0 is refused by the demo profile unless DEMO_ALLOW_NETWORK says that the port is published on loopback only.
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE /app/settings.js ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/appliance/package.json appliance/
COPY --from=build /app/dist dist
COPY --from=build /app/flows flows
COPY --from=build /app/examples examples
COPY --from=build /app/scripts/start.mjs /app/scripts/fingerprint.mjs scripts/
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 1880 1883 8883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 1880}/readyz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "scripts/start.mjs"]
