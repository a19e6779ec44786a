/* Story: TimeStampExtension puts a timestamp on every message; the broker answers in kind where that is switched on. */
import assert from "node:assert/strict";

export const title = "timestamp: replies carry one, and subscribers never see the publisher's";
export const ownBroker = true;
export const settings = { "extension.timestamp": "true" };

export async function run(world) {
  const channel = world.channel("a");
  const client = await world.connected("client", { extensions: ["timestamp"] });
  const other = await world.connected("other");
  await other.subscribe(channel);
  await client.publish(channel, "x");
  await other.messages(channel);
  const stamps = client.events("meta").map(({ timestamp }) => Date.parse(timestamp));
  assert.ok(stamps.length > 0 && stamps.every((stamp) => Math.abs(stamp - Date.now()) < 60_000), `timestamps ${stamps}`);
  assert.ok(other.events("meta").every(({ timestamp }) => timestamp === undefined), "who sends none gets none");
  assert.ok(other.events("arrival").every(({ timestamp }) => timestamp === undefined), "the publisher's stays with it");
  await client.disconnect();
}
