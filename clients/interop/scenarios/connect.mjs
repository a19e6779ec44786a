/* Scenario: a client connects, and can be seen to use the transport that the profile is about. */
import assert from "node:assert/strict";

const CONNECT_MS = 1_000;
/* Some clients begin with a poll and move on once the other transport has proved that it works. */
const MOVE_MS = 5_000;

export const title = "connects in under a second, by the transport it was given";

export async function run(world) {
  const client = await world.open("client");
  const { milliseconds } = await client.connect();
  assert.ok(milliseconds < CONNECT_MS, `connecting took ${milliseconds} ms`);
  const deadline = Date.now() + MOVE_MS;
  while ((await client.transport()) !== world.profile.transport && Date.now() < deadline);
  assert.equal(await client.transport(), world.profile.transport);
  client.assertNoComplaints();
}
