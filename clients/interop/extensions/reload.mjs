/* Story: ReloadExtension takes a session over a reload of its page: no handshake, and nothing published meanwhile is lost. */
import assert from "node:assert/strict";

export const title = "reload: a page that is loaded again goes on with its session";
export const places = ["browser"];

export async function run(world) {
  const channel = world.channel("numbers");
  const client = await world.connected("page", { extensions: ["ack", "reload"] });
  const publisher = await world.connected("publisher");
  await client.subscribe(channel);
  await publisher.publish(channel, 0);
  await client.messages(channel, 1);
  const before = await client.call("clientId");

  await client.call("saveForReload");
  await publisher.publish(channel, 1);
  await client.reload();
  await publisher.publish(channel, 2);
  await client.connect({ subscriptions: [] });
  assert.equal(await client.call("clientId"), before, "the same session");

  await publisher.publish(channel, 3);
  /* The subscription is the session's: what arrives is counted before any listener of the new page. */
  await client.event((event) => event.event === "arrival" && event.data === 3, "the last message arrives");
  const arrived = client.arrivals().filter((message) => message.channel === channel).map(({ data }) => data);
  assert.deepEqual(arrived, [0, 1, 2, 3]);
  await client.disconnect();
}
