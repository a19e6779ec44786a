/*
 * The streaming client of jsforce, unmodified: its login, its version in the path, its Replay and AuthFailure extensions,
 * against a broker with the profile of that API.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, test } from "node:test";


import { serverName } from "../harness/broker.mjs";
import { EventLog, within } from "../harness/deadline.mjs";
import { CREDENTIALS, publish, startInstance, startLogin } from "../harness/salesforce.mjs";

const require = createRequire(import.meta.url);
const jsforce = require("jsforce");
const { AuthFailure, Replay } = require("jsforce/api/streaming").StreamingExtension;

const WAIT_MS = 15_000;
/* jsforce waits five seconds before it tries again, and is told 95 % of five seconds later that nothing is new. */
const RECOVERY_MS = 40_000;

describe("jsforce 3 in Node", { skip: serverName !== "bayeuxd" && "only bayeuxd has that profile" }, () => {
  let broker, login, connection;
  let counter = 0;
  const clients = [];

  before(async () => {
    broker = await startInstance();
    login = await startLogin(broker);
    connection = new jsforce.Connection({ version: "58.0", oauth2: { loginUrl: login.url, clientId: "c", clientSecret: "s" } });
    await connection.login(CREDENTIALS.username, CREDENTIALS.password);
    assert.equal(connection.instanceUrl, broker.origin);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) await within(WAIT_MS, "a goodbye", Promise.resolve(client.disconnect()));
  });

  after(async () => {
    login?.close();
    await broker?.stop();
  });

  const freshChannel = () => `/event/Numbers${++counter}__e`;

  /* A client with a Replay extension, and what came in on its subscription. */
  async function replaying(channel, replayId) {
    const log = new EventLog();
    const failed = new AuthFailure((message) => log.add({ failure: message }));
    const replay = new Replay(channel, replayId);
    const client = connection.streaming.createClient([failed, replay]);
    clients.push(client);
    const subscription = client.subscribe(channel, (data) => log.add(data));
    await within(WAIT_MS, `a subscription to ${channel}`, subscription);
    return { log, client, replay };
  }

  async function received(log, count) {
    const events = await log.first(count, () => true, WAIT_MS, `${count} events`);
    return events.map((event) => event.payload?.Number__c ?? event);
  }

  test("receives what is published to a topic, with its replayId", async () => {
    const log = new EventLog();
    const subscription = connection.streaming.topic("Accounts").subscribe((data) => log.add(data));
    /* The library offers no way to end the client behind its topics. */
    clients.push(...Object.values(connection.streaming._fayeClients));
    await within(WAIT_MS, "a subscription", subscription);
    await publish(broker, "/topic/Accounts", 1);
    const [event] = await log.first(1, () => true, WAIT_MS, "the event");
    assert.ok(Number.isSafeInteger(event.event.replayId), JSON.stringify(event));
    assert.equal(event.event.type, "created");
    assert.equal(event.payload.Number__c, 1);
  });

  test("replays from -2 everything that is kept, and goes on live", async () => {
    const channel = freshChannel();
    for (const number of [0, 1, 2]) await publish(broker, channel, number);
    const { log } = await replaying(channel, -2);
    await publish(broker, channel, 3);
    assert.deepEqual(await received(log, 4), [0, 1, 2, 3]);
  });

  test("replays from an id what follows it", async () => {
    const channel = freshChannel();
    for (const number of [0, 1, 2]) await publish(broker, channel, number);
    const all = await replaying(channel, -2);
    await received(all.log, 3);
    const [, second] = all.log.filter(() => true);
    const { log } = await replaying(channel, second.event.replayId);
    await publish(broker, channel, 3);
    assert.deepEqual(await received(log, 2), [2, 3]);
  });

  test("is told in the API's own words that an id is none", async () => {
    const failure = await replaying(freshChannel(), 7).then(() => null, (error) => error);
    const text = "400::The replayId {7} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.";
    /* The client's parser of errors knows no braces, and hands the whole text on. */
    assert.equal(failure?.message, text);
  });

  test("goes on after a restart of the broker, and is told what it cannot have any more", { timeout: 2 * RECOVERY_MS }, async () => {
    const channel = freshChannel();
    const plain = new EventLog();
    const client = connection.streaming.createClient([]);
    clients.push(client);
    await within(WAIT_MS, "a subscription", client.subscribe(channel, (data) => plain.add(data)));
    const { log, client: durable, replay } = await replaying(channel, -1);
    const refusals = new EventLog();
    durable.addExtension({
      incoming(message, callback) {
        if (message.channel === "/meta/subscribe") refusals.add(message);
        callback(message);
      },
    });
    await publish(broker, channel, 0);
    await received(log, 1);

    await broker.kill();
    await broker.start();

    /* The log in memory went with the process: the id from before is none, and the client learns it. */
    const [refusal] = await refusals.first(1, () => true, RECOVERY_MS, "a second subscription");
    assert.equal(refusal.successful, false);
    assert.match(refusal.error, /^400::The replayId \{\d+\} you provided was invalid\.  Please/);
    replay.setReplay(-2);
    /* The client still has its listener, and lacks the subscription. */
    await within(WAIT_MS, "a subscription from -2", durable.subscribe(channel, () => {}));
    await publishUntil([plain, log], channel);
    for (const each of [plain, log]) {
      const numbers = each.filter(() => true).map((event) => event.payload.Number__c);
      assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b));
    }
  });

  /* Until the client has subscribed again, events pass it by; the first that it gets shows that it has. */
  async function publishUntil(logs, channel) {
    let number = 1;
    const ticks = setInterval(() => publish(broker, channel, number++).catch(() => {}), 200);
    try {
      for (const log of logs) await log.first(2, () => true, RECOVERY_MS, "an event after the restart");
    } finally {
      clearInterval(ticks);
    }
  }
});
