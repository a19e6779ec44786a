/*
 * Runs every scenario of ../scenarios for one client in one place, once for each of its profiles (transport, origin, …).
 * Called by the test files. A scenario runs once: nothing is retried, and whatever is left out says its reason.
 */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, describe, test } from "node:test";

import { Broker, serverName } from "./broker.mjs";
import { within } from "./deadline.mjs";
import { knownDifference } from "./known-differences.mjs";

const SCENARIO_MS = 60_000;
/* What a client, a place or a broker may take to go. */
const CLOSE_MS = 20_000;

const [everyClient, extensions] = await Promise.all(["../scenarios/", "../extensions/"].map(stories));

/* All stories of a folder. */
async function stories(folder) {
  const directory = new URL(folder, import.meta.url);
  const files = (await readdir(directory)).filter((file) => file.endsWith(".mjs")).sort();
  return Promise.all(files.map(async (file) =>
    ({ name: file.slice(0, -".mjs".length), ...(await import(new URL(file, directory))) })));
}

/* The stories that every client lives through. */
export function suite(options) {
  run({ scenarios: everyClient, ...options });
}

/* Those of a client with its own extension objects; `in` is the kind of place, for stories that need one. */
export function extensionSuite({ in: kind, ...options }) {
  run({ scenarios: extensions.filter(({ places }) => places?.includes(kind) ?? true), ...options });
}

function run({ client, place, profiles, scenarios, skip = false }) {
  describe(`${client} with ${serverName}`, { skip }, () => {
    after(() => place.close(), { timeout: CLOSE_MS });
    for (const profile of profiles) {
      const told = scenarios.filter(({ transports }) => transports?.includes(profile.transport) ?? true);
      describe(profile.name, () => runProfile({ client, place, profile, scenarios: told }));
    }
  });
}

function runProfile({ client, place, profile, scenarios }) {
  let shared = null;
  const sharedBroker = async () => (shared ??= await Broker.start());
  after(() => shared?.stop(), { timeout: CLOSE_MS });

  for (const scenario of scenarios) {
    const options = {
      timeout: SCENARIO_MS,
      skip: profile.skip?.[scenario.name] ?? false,
      todo: knownDifference(serverName, { client, profile, scenario }) ?? false,
    };
    test(scenario.title, options, (t) => runScenario(t, { scenario, place, profile, sharedBroker }));
  }
}

async function runScenario(t, { scenario, place, profile, sharedBroker }) {
  const own = scenario.ownBroker ? await Broker.start(scenario.settings) : null;
  const world = new World(place, profile, scenario.name, own ?? (await sharedBroker()));
  let problem = null;
  try {
    assert.ok(!world.broker.ended, "the broker ended since the scenario before");
    await scenario.run(world);
    assert.ok(!world.broker.ended, "the broker is still running");
  } catch (error) {
    t.diagnostic(`broker's stderr:\n${world.broker.stderr || "(empty)"}`);
    problem = error;
  }
  /* Whatever one of them has to say, the other goes too. */
  const ends = await Promise.allSettled([within(CLOSE_MS, "the clients are closed", world.close()), own?.stop()]);
  problem ??= ends.find(({ status }) => status === "rejected")?.reason;
  if (problem) throw problem;
}

/* What a scenario has to work with. */
class World {
  #place;
  #clients = [];
  #scenario;

  constructor(place, profile, scenario, broker) {
    this.#place = place;
    this.#scenario = scenario;
    this.profile = profile;
    this.broker = broker;
  }

  /* A name that no other scenario uses, so that what one leaves behind disturbs no other. */
  channel(rest) {
    return `/interop/${this.#scenario}/${rest}`;
  }

  async open(name, options = {}) {
    const client = await this.#place.open(this.broker, name, { ...this.profile.options, ...options });
    this.#clients.push(client);
    return client;
  }

  async connected(name, { subscriptions, ...options } = {}) {
    const client = await this.open(name, options);
    await client.connect({ subscriptions });
    return client;
  }

  async close() {
    for (const client of this.#clients) await client.close();
  }
}
