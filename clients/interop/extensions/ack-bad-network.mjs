/* Story: with AckExtension over a network that loses answers, cuts them and doubles connects, everything arrives exactly once, in order. */
import assert from "node:assert/strict";

import { LossyProxy } from "../harness/lossy-proxy.mjs";

export const title = "ack: everything arrives once and in order over a bad network";
/* Those who lost a response come back soon, and nobody who is kept busy with that loses the session. */
export const ownBroker = true;
export const settings = { "broker.timeout": "2s" };

const MESSAGES = 60;
/* Which faults there are is decided by seeds, and how many answers they meet by the machine: some runs need more messages. */
const MOST_MESSAGES = 1500;
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
    const wasBad = () => proxy.faults.lost > 0 && proxy.faults.cut > 0;
    const numbers = [];
    while (numbers.length < MESSAGES || (!wasBad() && numbers.length < MOST_MESSAGES)) {
      numbers.push(numbers.length);
      /* One request each, so that the log's order is that of the numbers. */
      await publisher.publish(channel, numbers.at(-1));
    }
    /* The last answer too must be able to arrive some day. */
    const received = await subscriber.messages(channel, numbers.length, ARRIVAL_MS);
    proxy.bad = false;
    assert.deepEqual(received.map(({ data }) => data), numbers);
    assert.deepEqual(subscriber.handshakes(), 1, "the session was kept");
    assert.ok(wasBad(), `the network was not bad: ${JSON.stringify(proxy.faults)}`);
    await subscriber.disconnect();
    await publisher.disconnect();
    /* Nothing came late and twice. */
    assert.equal(subscriber.received(channel).length, numbers.length);
  } finally {
    await proxy.close();
  }
}
