/*
 * The story that the restart scenarios share: the broker goes away in one way or another, comes back on the same port,
 * and the client finds its way back by itself. Used by scenarios/restart-*.mjs; nobody tells the client to reconnect.
 */
import assert from "node:assert/strict";

const RECOVERY_MS = 30_000;

export async function recovers(world, end) {
  const channel = world.channel("lasting");
  const subscriber = await world.connected("subscriber", { subscriptions: [channel] });
  await subscriber.subscribed(channel, 1);
  await publishOnce(world, channel, "before");
  await subscriber.messages(channel);

  await end(world.broker);
  await world.broker.start();
  await subscriber.subscribed(channel, 2, RECOVERY_MS);

  await publishOnce(world, channel, "after");
  const received = await subscriber.messages(channel, 2);
  assert.deepEqual(received, [{ channel, data: "before" }, { channel, data: "after" }]);
  await subscriber.publish(channel, "from the survivor");
  assert.equal((await subscriber.messages(channel, 3))[2].data, "from the survivor");
  assert.equal(await subscriber.transport(), world.profile.transport);
  await subscriber.disconnect();
}

async function publishOnce(world, channel, data) {
  const publisher = await world.connected("publisher");
  await publisher.publish(channel, data);
  await publisher.disconnect();
}
