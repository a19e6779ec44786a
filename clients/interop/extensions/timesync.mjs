/* Story: TimeSyncExtension learns the broker's clock, which here is the client's own. */
import assert from "node:assert/strict";

export const title = "timesync: the client knows the broker's time, held connects or not";
export const ownBroker = true;
export const settings = { "broker.timeout": "1s", "extension.timesync_accuracy": "0ms" };

/* Several holds: if the broker did not say how long it held, each would put the offset off by half of it. */
const CONNECTS = 4;
const NEAR_MS = 200;

export async function run(world) {
  const client = await world.connected("client", { extensions: ["timesync"] });
  await client.metaReplies("/meta/connect", CONNECTS);
  const { offset, lag } = await client.call("clock");
  assert.ok(Math.abs(offset) < NEAR_MS, `the offset to the own clock is ${offset} ms`);
  assert.ok(lag >= 0 && lag < NEAR_MS, `the lag is ${lag} ms`);
  const told = client.events("meta").filter(({ ext }) => ext?.timesync);
  assert.ok(told.length >= CONNECTS, "the broker answered");
  const held = told.filter(({ ext }) => ext.timesync.p >= 900);
  assert.ok(held.length > 0, "a held connect says how long it was held");
  const other = await world.connected("other");
  assert.ok(other.events("meta").every(({ ext }) => ext === undefined), "who does not ask is not told");
  await client.disconnect();
}
