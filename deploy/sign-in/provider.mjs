// An OpenID provider for trying sign-in, and for the tests: it asks for no password. Never let it decide about real orders.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const { PORT = "3300", PAGE = "http://localhost:3000", CLIENT_ID = "orders" } = process.env;
const ISSUER = process.env.ISSUER || `http://localhost:${PORT}`;
/** Where the gateway is for us; the page's address is the browser's. */
const GATEWAY = process.env.GATEWAY || PAGE;

/** @type {Record<string, object>} */
const PEOPLE = {
  ada: { name: "Ada Lovelace", scope: "orders:read orders:write", rights: { customer_name: ["Ada Lovelace"] } },
  grace: { name: "Grace Hopper", scope: "orders:read", rights: { customer_name: ["Grace Hopper"] } },
  clerk: { name: "Carla Clerk", scope: "orders:read orders:write", rights: "*" },
  admin: { name: "Alan Admin", scope: "orders:read orders:write orders:admin", rights: "*" },
  guest: { name: "Gustav Guest", rights: "*" },
};

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

const provider = new Provider(ISSUER, {
  clients: [
    {
      client_id: CLIENT_ID,
      token_endpoint_auth_method: "none", // PKCE protects it
      redirect_uris: [`${PAGE}/auth/callback`],
      post_logout_redirect_uris: [`${PAGE}/`],
      backchannel_logout_uri: `${GATEWAY}/auth/back-channel-logout`,
      backchannel_logout_session_required: true,
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub", "scope", "rights"], profile: ["name"] },
  conformIdTokenClaims: false, // the ID token is all that the gateway reads
  cookies: { keys: [randomBytes(32).toString("hex")] },
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource: askToSignOut, postLogoutSuccessSource: saySignedOut },
  },
  // Without the guard that keeps a provider from calling private addresses: the gateway, its only client, has one.
  fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
  findAccount: (_, id) => (PEOPLE[id] ? { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) } : undefined),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  issueRefreshToken: async () => true,
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "one", alg: "RS256", use: "sig" }] },
  // There is one client, and it is ours: nobody need be asked whether it may know who he is.
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile offline_access");
    await grant.save();
    return grant;
  },
  pkce: { required: () => true },
  renderError: async (ctx, { error, error_description }) => {
    ctx.type = "text";
    ctx.body = `${error}: ${error_description}`;
  },
  scopes: ["openid", "profile", "offline_access"],
  ttl: {
    AccessToken: 600,
    AuthorizationCode: 60,
    Grant: 86400,
    IdToken: 600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
});
provider.on("backchannel.error", (_, error) => console.error(`back-channel logout: ${error.message}`));
provider.on("server_error", (_, error) => console.error(error));

const answer = provider.callback();

createServer(async (request, response) => {
  try {
    if (!request.url?.startsWith("/interaction/")) await answer(request, response);
    else if (request.method === "POST") await signIn(request, response);
    else {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(page("Sign in", `<form method="post">${Object.entries(PEOPLE).map(choice).join("")}</form>`));
    }
  } catch (error) {
    response.statusCode = 400;
    response.end(String(error));
  }
}).listen(Number(PORT), () => console.log(`Sign-in for trying: ${ISSUER}`));

/** @param {import("node:http").IncomingMessage} request @param {import("node:http").ServerResponse} response */
async function signIn(request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const accountId = new URLSearchParams(body).get("sub") ?? "";
  if (!(accountId in PEOPLE)) throw new Error("nobody");
  await provider.interactionFinished(request, response, { login: { accountId } });
}

/** @param {[string, any]} person */
function choice([sub, { name, scope = "no rights" }]) {
  return `<p><button name="sub" value="${sub}">${name}</button> ${scope}</p>`;
}

/** @param {any} ctx @param {string} form */
async function askToSignOut(ctx, form) {
  ctx.body = page("Sign out", `${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
}

/** @param {any} ctx */
async function saySignedOut(ctx) {
  ctx.body = page("Signed out", "");
}

/** @param {string} title @param {string} body */
function page(title, body) {
  return `<!doctype html><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}`;
}
