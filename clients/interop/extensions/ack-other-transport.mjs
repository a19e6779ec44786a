/* Story: with AckExtension a client whose WebSockets fail goes on by long-polling with what it did not acknowledge. */
import assert from "node:assert/strict";

import { LossyProxy } from "../harness/lossy-proxy.mjs";

export const title = "ack: what a dead WebSocket swallowed comes by long-polling";
export const transports = ["websocket"];

const MESSAGES = 20;
const ARRIVAL_MS = 20_000;

export async function run(world) {
  const channel = world.channel("numbers");
  const proxy = await LossyProxy.start(world.broker.port, 1);
  try {
    const options = { url: proxy.url, extensions: ["ack"], crossOrigin: true, fallback: "long-polling" };
    const subscriber = await world.connected("subscriber", options);
    assert.equal(await subscriber.transport(), "websocket");
    const publisher = await world.connected("publisher");
    await subscriber.subscribe(channel);
    for (let number = 0; number < MESSAGES; number += 1) {
      if (number === MESSAGES / 2) {
        proxy.upgrades = false;
        proxy.resetAll();
      }
      await publisher.publish(channel, number);
    }
    const received = await subscriber.messages(channel, MESSAGES, ARRIVAL_MS);
    assert.deepEqual(received.map(({ data }) => data), Array.from({ length: MESSAGES }, (_, number) => number));
    assert.equal(await subscriber.transport(), "long-polling");
    assert.equal(subscriber.handshakes(), 1, "the session was kept");
    await subscriber.disconnect();
  } finally {
    await proxy.close();
  }
}
