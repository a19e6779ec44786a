/* Scenario: an acknowledgement fixes a message's place, so messages sent one after the other arrive in that order, each once. */
import assert from "node:assert/strict";

export const title = "messages acknowledged one after another arrive in that order";

const MESSAGES = 50;

export async function run(world) {
  const channel = world.channel("sequence");
  const subscriber = await world.connected("subscriber");
  const publisher = await world.connected("publisher");
  await subscriber.subscribe(channel);
  const numbers = Array.from({ length: MESSAGES }, (_, number) => number);
  for (const number of numbers) await publisher.publish(channel, number);
  const received = await subscriber.messages(channel, MESSAGES);
  assert.deepEqual(received.map(({ data }) => data), numbers);
}
