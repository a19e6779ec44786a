/* Scenario: `*` is one level, `**` every level below. Who subscribed to both is sent each message once, and hears it by each. */
import assert from "node:assert/strict";

export const title = "wildcards * and ** match as they should";

export async function run(world) {
  const root = world.channel("tree");
  const marker = world.channel("marker");
  const one = `${root}/*`;
  const all = `${root}/**`;
  const subscriber = await world.connected("subscriber");
  const publisher = await world.connected("publisher");
  for (const pattern of [one, all, marker]) await subscriber.subscribe(pattern);

  const published = [root, `${root}/a`, `${root}/b`, `${root}/a/b`, `${root}/a/b/c`, world.channel("other/a")];
  for (const channel of published) await publisher.publish(channel, channel);
  await publisher.publish(marker, "end");

  await subscriber.messages(marker);
  const below = [`${root}/a`, `${root}/b`, `${root}/a/b`, `${root}/a/b/c`];
  assert.deepEqual(names(subscriber.received(one)), below.slice(0, 2));
  assert.deepEqual(names(subscriber.received(all)), below);
  assert.deepEqual(subscriber.arrivals().map(({ channel }) => channel), [...below, marker], "each came once over the wire");
}

function names(messages) {
  for (const { channel, data } of messages) assert.equal(channel, data);
  return messages.map(({ channel }) => channel);
}
