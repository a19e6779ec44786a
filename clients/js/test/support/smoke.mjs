/* What must work in every runtime, with nothing but its globals: `smoke.mjs URL`. Says OK. Run by scripts/runtimes.mjs. */
import { Client, longPolling, websocket } from "../../dist/esm/index.js";

const { process, Deno } = globalThis;
const url = Deno ? Deno.args[0] : process.argv[2];
const MESSAGES = 20;

for (const transport of [longPolling, websocket]) {
  if (transport == websocket && !globalThis.WebSocket) {
    console.log("websocket skipped, this runtime has none of its own");
    continue;
  }
  const client = new Client(url, { transports: [transport()] });
  await client.connect({ signal: AbortSignal.timeout(30_000) });
  const subscription = client.subscribe("/smoke/*");
  await subscription.ready;
  for (let n = 0; n < MESSAGES; n++) client.publish("/smoke/x", { n, text: "grüß dich 🎈" });
  let next = 0;
  for await (const { data } of subscription) {
    if (data.n != next++ || data.text != "grüß dich 🎈") throw new Error(`got ${JSON.stringify(data)} as number ${next}`);
    if (next == MESSAGES) break;
  }
  await client.disconnect();
  console.log("OK", client.transport);
}
