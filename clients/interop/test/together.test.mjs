/* All clients at once on one broker, each by another transport: what any of them says, every one of them hears. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Broker, serverName } from "../harness/broker.mjs";
import { BrowserPlace, withoutBrowser } from "../harness/browser-place.mjs";
import { ProcessPlace } from "../harness/process-place.mjs";
import { javaDriver, pythonDriver } from "../harness/toolchains.mjs";

const TOGETHER_MS = 60_000;
const PATTERN = "/interop/together/*";

const python = await pythonDriver();
const java = await javaDriver();
const noBrowser = withoutBrowser();

const members = [
  { name: "cometd-in-node", place: ProcessPlace.node("cometd"), options: { transport: "websocket" } },
  { name: "faye-in-node", place: ProcessPlace.node("faye"), options: { disable: ["websocket"] } },
  { name: "cometd-in-chromium", place: new BrowserPlace("cometd"), options: { transport: "callback-polling", crossOrigin: true }, skip: noBrowser },
  { name: "faye-in-chromium", place: new BrowserPlace("faye"), options: {}, skip: noBrowser },
  { name: "aiocometd-in-python", place: new ProcessPlace(python.command), options: { transport: "websocket" }, skip: python.skip },
  { name: "cometd-in-java", place: new ProcessPlace(java.command), options: { transport: "long-polling" }, skip: java.skip },
];

let broker;
before(async () => {
  broker = await Broker.start();
});
after(async () => {
  for (const { place } of members) await place.close();
  await broker?.stop();
});

test(`every client hears every other with ${serverName}`, { timeout: TOGETHER_MS }, async (t) => {
  for (const { name, skip } of members) if (skip) t.diagnostic(`without ${name}: ${skip}`);
  const present = members.filter(({ skip }) => !skip);
  const clients = [];
  for (const { name, place, options } of present) {
    const client = await place.open(broker, name, options);
    await client.connect();
    await client.subscribe(PATTERN);
    clients.push(client);
  }

  const said = clients.map(({ name }) => ({ channel: `/interop/together/${name}`, data: { from: name, text: "grüß Gott 👋" } }));
  for (const [index, client] of clients.entries()) await client.publish(said[index].channel, said[index].data);
  for (const client of clients) assert.deepEqual(await client.messages(PATTERN, said.length), said, `${client.name} heard all, in order`);
});
