// Whose page it is, and when that is renewed.
import assert from "node:assert/strict";
import test from "node:test";
import { Session, whyNobody } from "../../../web/session.js";

const ADA = {
  subject: "ada",
  name: "Ada",
  scopes: ["orders:read"],
  expires_at: "2026-01-01T00:00:00Z",
  renewable: true,
};

/** A session, and the gateway that it asks: `answers` by "METHOD /path", each for once and the last for ever. */
function scene(answers) {
  const asked = [];
  const parts = {
    time: 0,
    ask: async (method, path) => {
      asked.push(`${method} ${path}`);
      const left = answers[`${method} ${path}`];
      const [status, body] = left.length > 1 ? left.shift() : left[0];
      return { status, body };
    },
    alone: (act) => act(),
    pause: async () => {},
    now: () => parts.time,
  };
  return { session: new Session(parts), asked, parts };
}

test("somebody is known by what the gateway says, and nobody by its reason", async () => {
  const { session } = scene({
    "GET /auth/session": [
      [200, ADA],
      [0, null],
      [502, null],
      [401, { reason: "x", sign_in: "/s" }],
    ],
  });
  assert.equal((await session.look()).person.name, "Ada");
  assert.deepEqual((await session.look()).nobody, { reason: "x", signIn: "/s" });
});

test("a gateway without sign-in needs nobody", async () => {
  const { session } = scene({ "GET /auth/session": [[404, null]] });
  assert.deepEqual(await session.look(), { person: null, nobody: null });
});

test("a session that ends soon is renewed once, however many ask", async () => {
  const { session, asked } = scene({
    "GET /auth/session": [[200, { ...ADA, expires_in: 60 }]],
    "POST /auth/renew": [[200, { ...ADA, expires_in: 3600 }]],
  });
  assert.deepEqual(await Promise.all([session.renew(), session.renew()]), [true, true]);
  assert.deepEqual(asked, ["GET /auth/session", "POST /auth/renew"]);
});

test("what another page has renewed is not renewed again", async () => {
  const { session, asked } = scene({ "GET /auth/session": [[200, { ...ADA, expires_in: 3000 }]] });
  assert.equal(await session.renew(), true);
  assert.deepEqual(asked, ["GET /auth/session"]);
});

test("a session that ended is renewed when it is found; one that cannot be stays ended", async () => {
  const ended = [401, { reason: "token_expired", sign_in: "/s" }];
  const one = scene({ "GET /auth/session": [ended], "POST /auth/renew": [[200, { ...ADA, expires_in: 3600 }]] });
  await one.session.find();
  assert.equal(one.session.who.person.subject, "ada");
  const other = scene({ "GET /auth/session": [ended], "POST /auth/renew": [[401, { reason: "session_ended" }]] });
  await other.session.find();
  assert.equal(other.session.who.nobody.reason, "token_expired");
  const token = scene({ "GET /auth/session": [ended] });
  await token.session.find(false);
  assert.deepEqual(token.asked, ["GET /auth/session"]);
});

test("sessions that are too short are not renewed in a loop", async () => {
  const { session, parts } = scene({
    "GET /auth/session": [[200, { ...ADA, expires_in: 30 }]],
    "POST /auth/renew": [[200, { ...ADA, expires_in: 30 }]],
  });
  assert.equal(await session.renew(), true);
  assert.equal(await session.renew(), false);
  parts.time = 60_000;
  assert.equal(await session.renew(), true);
});

test("each reason has its words", () => {
  assert.equal(whyNobody("token_missing", false), "Sign in to see the orders.");
  assert.equal(whyNobody("token_missing", true), "You have signed out.");
  assert.notEqual(whyNobody("token_revoked", true), whyNobody("unheard of", true));
});
