/* Scenario: an idle client is held and asks again in step with the broker's timeout; it neither storms nor gives up. */
import assert from "node:assert/strict";

export const title = "an idle client is held, renews its connect, and still receives";
export const ownBroker = true;
export const settings = { "broker.timeout": "1s" };

/* Up to three connects are answered at once: the first, the first after a change of transport, one batched with a subscribe. */
const REPLIES = 5;
/* What is left is two holds of 95 % of a second each, less some slack for timers. */
const HELD_AT_LEAST_MS = 1_700;
const REPLIES_MS = 15_000;

export async function run(world) {
  const channel = world.channel("quiet");
  const client = await world.open("client");
  const started = performance.now();
  await client.connect();
  await client.subscribe(channel);
  const replies = await client.metaReplies("/meta/connect", REPLIES, REPLIES_MS);
  const milliseconds = performance.now() - started;
  assert.deepEqual(replies.map(({ successful }) => successful), Array(REPLIES).fill(true));
  assert.ok(milliseconds > HELD_AT_LEAST_MS, `${REPLIES} connects were answered within ${milliseconds} ms`);

  await client.publish(channel, "awake");
  await client.messages(channel);
  client.assertNoComplaints();
}
