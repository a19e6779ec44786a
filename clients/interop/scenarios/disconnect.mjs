/* Scenario: a client says good-bye. Its socket, where the driver can see one, is closed in order, and nothing is complained about. */
import assert from "node:assert/strict";

export const title = "disconnects cleanly in under a second";

const DISCONNECT_MS = 1_000;
const SOCKET_CLOSED_MS = 3_000;
const NORMAL_CLOSURE = 1000;

export async function run(world) {
  const channel = world.channel("over");
  const client = await world.connected("client");
  await client.subscribe(channel);
  await client.publish(channel, "last");
  await client.messages(channel);

  const { milliseconds } = await client.disconnect();
  assert.ok(milliseconds < DISCONNECT_MS, `disconnecting took ${milliseconds} ms`);
  if (world.profile.reportsSockets) await socketCloses(client);
  client.assertNoComplaints();
}

async function socketCloses(client) {
  const closed = await client.event(({ event, state }) => event === "socket" && state === "closed", "the WebSocket closes", SOCKET_CLOSED_MS);
  assert.deepEqual({ code: closed.code, wasClean: closed.wasClean }, { code: NORMAL_CLOSURE, wasClean: true });
  const opened = client.events("socket").filter(({ state }) => state === "open");
  assert.equal(opened.length, 1, "the session used one WebSocket");
}
