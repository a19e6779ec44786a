/* Story: with AckExtension over a network that loses answers, cuts them and doubles connects, everything arrives exactly once, in order. */
import assert from "node:assert/strict";

import { LossyProxy } from "../harness/lossy-proxy.mjs";

export const title = "ack: everything arrives once and in order over a bad network";
/* Those who lost a response come back soon, and nobody who is kept busy with that loses the session. */
export const ownBroker = true;
export const settings = { "broker.timeout": "2s" };

const MESSAGES = 60;
const AT_ONCE = 5;
const ARRIVAL_MS = 45_000;

export async function run(world) {
  for (const seed of [1, 2]) await oneNetwork(world, seed);
}

async function oneNetwork(world, seed) {
  const channel = world.channel(`numbers/${seed}`);
  const proxy = await LossyProxy.start(world.broker.port, seed);
  try {
    const subscriber = await world.connected("subscriber", { url: proxy.url, extensions: ["ack"], crossOrigin: true });
    const publisher = await world.connected("publisher");
    await subscriber.subscribe(channel);
    proxy.bad = true;
    const numbers = Array.from({ length: MESSAGES }, (_, number) => number);
    for (let at = 0; at < MESSAGES; at += AT_ONCE) {
      /* One request each, so that the log's order is that of the numbers. */
      for (const number of numbers.slice(at, at + AT_ONCE)) await publisher.publish(channel, number);
    }
    /* The last answer too must be able to arrive some day. */
    const received = await subscriber.messages(channel, MESSAGES, ARRIVAL_MS);
    proxy.bad = false;
    assert.deepEqual(received.map(({ data }) => data), numbers);
    assert.deepEqual(subscriber.handshakes(), 1, "the session was kept");
    const { lost, cut } = proxy.faults;
    assert.ok(lost > 0 && cut > 0, `the network was not bad: ${JSON.stringify(proxy.faults)}`);
    await subscriber.disconnect();
    await publisher.disconnect();
    /* Nothing came late and twice. */
    assert.equal(subscriber.received(channel).length, MESSAGES);
  } finally {
    await proxy.close();
  }
}
