/* Starting and ending: one command starts everything and leaves nothing behind; the backend believes only the broker. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { describe, it } from "node:test";
import { FOLDER, startDemo } from "./support/demo.mjs";

const isServed = (url) => fetch(url).then(({ ok }) => ok, () => false);

describe("make demo", () => {
  for (const signal of ["SIGINT", "SIGTERM"]) {
    it(`serves both origins, and ends whole at ${signal}`, async () => {
      const demo = await startDemo();
      for (const url of [`${demo.here}/`, `${demo.here}/playground`, `${demo.there}/`, `${demo.backend}/healthz`]) assert.ok(await isServed(url), url);
      assert.equal((await fetch(`${demo.there}/%2e%2e/demo.py`)).status, 404);
      assert.equal((await fetch(`${demo.there}/.`)).status, 200);
      await demo.stop(signal);
      assert.match(demo.said, /The demos have ended/);
      assert.equal(demo.child.exitCode, 0);
      for (const url of [demo.here, demo.there, demo.backend]) assert.ok(!(await isServed(url)), `${url} is gone`);
    });
  }

  it("says what is in the way", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    for (const name of ["DEMO_PORT", "DEMO_PORT_2", "BACKEND_PORT"]) {
      const demo = await startDemo({ environment: { [name]: String(taken.address().port) } });
      await demo.ended;
      assert.notEqual(demo.child.exitCode, 0);
      assert.match(demo.said, new RegExp(String(taken.address().port)), name);
      assert.match(demo.said, name === "DEMO_PORT" ? /cannot listen/ : new RegExp(name));
    }
    taken.close();
    const demo = await startDemo({ environment: { BAYEUXD_BIN: "/nowhere/bayeuxd" } });
    await demo.ended;
    assert.match(demo.said, /cannot start \/nowhere\/bayeuxd/);
  });

  it("ends when its broker ends", async () => {
    const demo = await startDemo({ settings: { "server.pages": "/nowhere" } });
    await demo.ended;
    assert.notEqual(demo.child.exitCode, 0);
    assert.match(demo.said, /is no folder/);
  });
});

describe("the backend", () => {
  it("takes calls only from whoever knows the secret", async () => {
    const demo = await startDemo();
    const [, secret] = /whsec_([\w+/=]+)/.exec(await readFile(`${FOLDER}/bayeuxd.toml`, "utf8"));
    const body = JSON.stringify({ type: "service", timestamp: "", data: { data: { text: "x" } } });
    const call = async ({ key = Buffer.from(secret, "base64"), age = 0, text = body, path = "/echo" } = {}) => {
      const time = String(Math.floor(Date.now() / 1000) - age);
      const signature = `v1,${createHmac("sha256", key).update(`msg_1.${time}.${body}`).digest("base64")}`;
      const headers = { "webhook-id": "msg_1", "webhook-timestamp": time, "webhook-signature": signature };
      return (await fetch(demo.backend + path, { method: "POST", headers, body: text })).status;
    };
    assert.equal(await call(), 200);
    assert.equal(await call({ key: "another" }), 401);
    assert.equal(await call({ age: 3600 }), 401);
    assert.equal(await call({ text: body.replace('"x"', '"y"') }), 401);
    assert.equal(await call({ path: "/nowhere" }), 404);
    assert.equal((await fetch(`${demo.backend}/echo`, { method: "POST", body })).status, 401);
    assert.equal((await fetch(`${demo.backend}/echo`)).status, 404);
    await demo.stop();
  });
});

describe("the pictures in the documents", () => {
  it("are there, and small", async () => {
    const text = await readFile(`${FOLDER}/README.md`, "utf8");
    const pictures = [...text.matchAll(/\]\((\.\.\/\.\.\/docs\/images\/[\w-]+\.png)\)/g)].map(([, path]) => path);
    assert.ok(pictures.length >= 5);
    for (const path of pictures) assert.ok((await stat(FOLDER + path)).size <= 120 * 1024, path);
  });
});
