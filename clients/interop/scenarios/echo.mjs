/* Scenario: a client that subscribed to a channel also receives what it publishes there itself. */
import assert from "node:assert/strict";

export const title = "a publisher that subscribed receives its own message";

export async function run(world) {
  const channel = world.channel("mirror");
  const client = await world.connected("client");
  await client.subscribe(channel);
  await client.publish(channel, { mine: true });
  assert.deepEqual(await client.messages(channel), [{ channel, data: { mine: true } }]);
}
