/*
 * Measures what an application pays after bundling and minifying: `npm run size`. Fails over the limit.
 * The bundle is made from dist/, as an application's bundler would make it, so the figure is the one users see.
 */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "./common.mjs";

// kB means 1 000 bytes here.
const LIMITS = [
  { what: "core + WebSocket", code: `export { Client, websocket } from "@bayeuxd/client"`, limit: 4000 },
  { what: "core + WebSocket + long-polling", code: `export { Client, websocket, longPolling } from "@bayeuxd/client"`, limit: 5500 },
  { what: "compat/cometd, everything", code: `export * from "@bayeuxd/client/compat/cometd"` },
  { what: "compat/faye, everything", code: `export * from "@bayeuxd/client/compat/faye"` },
];

for (const { what, code, limit } of LIMITS) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  const over = size > limit;
  console.log(`${over ? "OVER" : "ok  "} ${String(size).padStart(6)} B gzipped${limit ? ` of ${limit}` : ""}  ${what}`);
  if (over) process.exitCode = 1;
}
