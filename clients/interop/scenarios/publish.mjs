/* Scenario: what one client publishes is acknowledged to it and received by another, once, and by nobody who did not ask. */
import assert from "node:assert/strict";

export const title = "a publish is acknowledged and received by another subscriber";

export async function run(world) {
  const channel = world.channel("news");
  const marker = world.channel("marker");
  const subscriber = await world.connected("subscriber");
  const publisher = await world.connected("publisher");
  await subscriber.subscribe(channel);
  await subscriber.subscribe(marker);
  await publisher.subscribe(marker);

  const data = { text: "hello", number: 1.5, list: [1, null, false, ""], nested: { deep: {} } };
  await publisher.publish(channel, data);
  await publisher.publish(marker, "end");

  await subscriber.messages(marker);
  await publisher.messages(marker);
  const end = { channel: marker, data: "end" };
  assert.deepEqual(subscriber.received(channel), [{ channel, data }]);
  assert.deepEqual(subscriber.arrivals(), [{ channel, data }, end]);
  assert.deepEqual(publisher.arrivals(), [end], "the publisher did not subscribe to the other channel");
  subscriber.assertNoComplaints();
  publisher.assertNoComplaints();
}
