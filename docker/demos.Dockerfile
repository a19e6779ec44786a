# The demos: their pages with the browser's client in them, and the backend that the broker calls. From the project's root:
#
#   docker build --file docker/demos.Dockerfile --tag bayeuxd-demos .

FROM node:22-bookworm-slim AS client
WORKDIR /client
# Dependencies first: this layer is made anew only when they change.
COPY clients/js/package.json clients/js/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY clients/js ./
RUN npm run build

FROM python:3.13-slim
WORKDIR /demos
COPY examples/demos/serve_pages.py ./
COPY examples/demos/backend backend
COPY examples/demos/www www
COPY --from=client /client/dist/browser/bayeux.js www/
USER 65532:65532
