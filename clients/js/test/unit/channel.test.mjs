/* Which pattern covers which channel. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { matches } from "../../dist/esm/channel.js";

for (const [pattern, channel, expected] of [
  ["/a", "/a", true],
  ["/a", "/a/b", false],
  ["/a", "/ab", false],
  ["/a/*", "/a/b", true],
  ["/a/*", "/a", false],
  ["/a/*", "/a/b/c", false],
  ["/a/*", "/b/a", false],
  ["/a/**", "/a/b", true],
  ["/a/**", "/a/b/c", true],
  ["/a/**", "/a", false],
  ["/a/**", "/ab/c", false],
  ["/*", "/a", true],
  ["/*", "/a/b", false],
  ["/**", "/a/b/c", true],
  ["/a.b/*", "/axb/c", false],
  ["/a+(b)/*", "/a+(b)/c", true],
]) {
  it(`${pattern} ${expected ? "covers" : "does not cover"} ${channel}`, () => assert.equal(matches(pattern, channel), expected));
}
