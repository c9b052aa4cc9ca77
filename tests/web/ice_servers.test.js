/** Which ICE servers the page takes from a relay's `Link` header. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { iceServers } from "../../relay/web/pages/static/ice_servers.js";

const TURN = '<turns:turn.example:443?transport=tcp>; rel="ice-server"; username="1:a"; credential="b+/="';

test("no header means no servers", () => {
  assert.deepEqual(iceServers(null), []);
  assert.deepEqual(iceServers(""), []);
});

test("a TURN server comes with its credentials", () => {
  const expected = { urls: "turns:turn.example:443?transport=tcp", username: "1:a", credential: "b+/=" };
  assert.deepEqual(iceServers(`${TURN}; credential-type="password"`), [expected]);
  assert.deepEqual(iceServers(TURN), [expected]);
});

test("several links stand in one header, and each keeps its own parameters", () => {
  const header = `${TURN}, <turn:[2001:db8::1]>; rel="ice-server"; username="2:c"; credential="d", <stun:s.example>; rel=ice-server`;
  assert.deepEqual(
    iceServers(header).map((server) => [server.urls, server.username]),
    [
      ["turns:turn.example:443?transport=tcp", "1:a"],
      ["turn:[2001:db8::1]", "2:c"],
      ["stun:s.example", undefined],
    ],
  );
});

test("what is of another relation, or cannot be used, is skipped", () => {
  for (const header of [
    '<https://example.net/x>; rel="urn:ietf:params:whip:ext:x"; username="a"; credential="b"',
    '<turn:turn.example>; rel="ice-server"',
    `${TURN}; credential-type="oauth"`,
    "nonsense; rel=ice-server",
    "<turn:cut.off",
  ]) {
    assert.deepEqual(iceServers(header), [], header);
  }
});
