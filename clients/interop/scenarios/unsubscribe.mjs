/* Scenario: after an acknowledged unsubscription nothing more arrives, proved by a later message on another channel. */
import assert from "node:assert/strict";

export const title = "an unsubscription stops delivery, and only on that channel";

export async function run(world) {
  const channel = world.channel("left");
  const marker = world.channel("kept");
  const subscriber = await world.connected("subscriber");
  const publisher = await world.connected("publisher");
  await subscriber.subscribe(channel);
  await subscriber.subscribe(marker);
  await publisher.publish(channel, "before");
  await subscriber.messages(channel);

  await subscriber.unsubscribe(channel);
  await publisher.publish(channel, "after");
  await publisher.publish(marker, "end");
  await subscriber.messages(marker);
  assert.deepEqual(subscriber.arrivals(), [{ channel, data: "before" }, { channel: marker, data: "end" }]);

  await subscriber.subscribe(channel);
  await publisher.publish(channel, "again");
  const received = await subscriber.messages(channel, 2);
  assert.deepEqual(received.map(({ data }) => data).slice(1), ["again"]);
}
