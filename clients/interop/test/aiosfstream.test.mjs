/* The Python client of Salesforce's streaming API, aiosfstream-ng, against a broker with the profile of that API. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { serverName } from "../harness/broker.mjs";
import { spawnChild } from "../harness/children.mjs";
import { EventLog, within } from "../harness/deadline.mjs";
import { publish, startInstance } from "../harness/salesforce.mjs";
import { salesforceDriver } from "../harness/toolchains.mjs";

const WAIT_MS = 20_000;
const { command, skip } = await salesforceDriver();
const otherServer = serverName !== "bayeuxd" && "only bayeuxd has that profile";

describe("aiosfstream-ng in Python", { skip: otherServer || skip }, () => {
  let broker;
  before(async () => (broker = await startInstance()));
  after(() => broker?.stop());

  /* Runs the client until `count` events came, with `meanwhile` once it has subscribed. */
  async function receive(channel, replay, count, meanwhile) {
    const [program, ...first] = command;
    const child = spawnChild(program, [...first, broker.origin, channel, String(replay)], { stdio: ["pipe", "pipe", "inherit"] });
    const log = new EventLog();
    createInterface({ input: child.stdout }).on("line", (line) => log.add(JSON.parse(line)));
    const exit = once(child, "exit");
    try {
      await log.first(1, ({ subscribed, error }) => subscribed || error, WAIT_MS, "a subscription");
      await meanwhile?.();
      const events = await log.first(count, ({ data, error }) => data || error, WAIT_MS, `${count} events`);
      return events.map(({ data, error }) => {
        assert.equal(error, undefined);
        return data;
      });
    } finally {
      child.stdin.end();
      await within(WAIT_MS, "the client's process ends", exit);
    }
  }

  const numbers = (events) => events.map(({ payload }) => payload.Number__c);

  test("receives new events, all events, and those after an id", async () => {
    const channel = "/event/Numbers__e";
    const live = await receive(channel, "new", 3, async () => {
      for (const number of [0, 1, 2]) await publish(broker, channel, number);
    });
    assert.deepEqual(numbers(live), [0, 1, 2]);
    const all = await receive(channel, "all", 4, () => publish(broker, channel, 3));
    assert.deepEqual(numbers(all), [0, 1, 2, 3]);
    const rest = await receive(channel, live[1].event.replayId, 2);
    assert.deepEqual(numbers(rest), [2, 3]);
  });

  test("an id that is none is refused so that its fallback to all events works", async () => {
    const channel = "/event/Fallback__e";
    await publish(broker, channel, 5);
    assert.deepEqual(numbers(await receive(channel, 7, 1)), [5]);
  });
});
