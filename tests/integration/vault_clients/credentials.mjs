// Tokens through each credential of @azure/identity, in a process each (signin.mjs): the package
// keeps tokens for as long as it runs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { SECRET, call, double, log, makeVault, now, refused } from "./case.mjs";
import { ClientSecretCredential } from "@azure/identity";

export const checks = {};

const run = promisify(execFile);
const clean = { PATH: process.env.PATH, HOME: double.directory };

// Reads a key with a credential, in a process of its own: {kid} or {name, message} of the error.
async function signIn(kind, options, environment = {}) {
  const told = JSON.stringify({ kind, options, ports: double.ports });
  const { stdout } = await run(process.execPath, ["signin.mjs", told],
    { env: { ...clean, ...environment } });
  return JSON.parse(stdout);
}

async function accepted(...args) {
  const result = await signIn(...args);
  assert.ok(result.kid?.startsWith("https://demo.vault.azure.net/keys/cmk/"),
    JSON.stringify(result));
}

async function denied(wanted, ...args) {
  const result = await signIn(...args);
  assert.match(result.message ?? JSON.stringify(result), wanted);
}

// An identity that may read the key of a new vault.
async function makeIdentity(settings = {}) {
  const { host, makeKey, identity: agent } = await makeVault();
  await makeKey({ kty: "EC" });
  const identity = await call("create_identity", { name: "other", ...settings });
  await call("set_permissions", { vault: host, identity: "other", operations: ["get"] });
  return { tenant: agent.tenant, clientId: identity.client_id, objectId: identity.object_id };
}

checks["client secret: taken, wrong, expired; unknown application and tenant"] = async () => {
  const who = await makeIdentity({ secret: SECRET });
  await accepted("secret", { ...who, secret: SECRET });
  await denied(/AADSTS7000215/, "secret", { ...who, secret: "wrong" });
  await call("set_identity", { identity: "other", secret: SECRET, secret_expires: now() - 5 });
  await denied(/AADSTS7000222/, "secret", { ...who, secret: SECRET });
  await denied(/AADSTS700016/, "secret",
    { ...who, secret: SECRET, clientId: "00000000-1111-2222-3333-444444444444" });
  const nowhere = new ClientSecretCredential("00000000-1111-2222-3333-444444444444", who.clientId,
    SECRET);
  await refused(nowhere.getToken("https://vault.azure.net/.default"), { message: /AADSTS90002/ });
};

checks["client certificate: taken; refused when it is not registered"] = async () => {
  const who = await makeIdentity();
  const { path: file } = await call("make_certificate", { identity: "other" });
  await accepted("certificate", { ...who, path: file });
  const posted = (await log("authority")).find((entry) => entry.method === "POST");
  const assertion = new URLSearchParams(posted.body).get("client_assertion");
  const header = JSON.parse(Buffer.from(assertion.split(".")[0], "base64url"));
  assert.equal(header.alg, "PS256");
  assert.ok(header["x5t#S256"]);
  const stranger = await call("make_certificate", { identity: "agent" });
  await denied(/AADSTS700027/, "certificate", { ...who, path: stranger.path });
};

checks["workload identity: a federated token of the trusted subject"] = async () => {
  const issuer = "https://issuer.example";
  const rule = { issuer, subject: "system:serviceaccount:import:agent" };
  const who = await makeIdentity({ federated: [rule] });
  const file = join(double.directory, "federated-token");
  const environment = { AZURE_CLIENT_ID: who.clientId, AZURE_TENANT_ID: who.tenant,
    AZURE_FEDERATED_TOKEN_FILE: file };
  const put = async (args) =>
    writeFileSync(file, (await call("make_federated_token", { issuer, ...args })).token);
  await put({ subject: rule.subject });
  await accepted("workload", {}, environment);
  await put({ subject: "system:serviceaccount:import:other" });
  await denied(/AADSTS700213/, "workload", {}, environment);
  await put({ subject: rule.subject, lifetime: -10 });
  await denied(/AADSTS700024/, "workload", {}, environment);
};

const RESOURCE_ID = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/import/" +
  "providers/Microsoft.ManagedIdentity/userAssignedIdentities/agent";

checks["instance metadata: system- and user-assigned identities, there or not"] = async () => {
  const imds = `http://127.0.0.1:${double.ports.imds}`;
  const environment = { AZURE_POD_IDENTITY_AUTHORITY_HOST: imds };
  await makeIdentity({ kind: "system" });
  await accepted("managed", {}, environment);
  await denied(/Identity not found/i, "managed", { clientId: "none" }, environment);
  const who = await makeIdentity({ kind: "user", msi_res_id: RESOURCE_ID });
  await denied(/Identity not found/i, "managed", {}, environment);
  await accepted("managed", { clientId: who.clientId }, environment);
  await accepted("managed", { objectId: who.objectId }, environment);
  await accepted("managed", { resourceId: RESOURCE_ID }, environment);
  await call("inject", { match: { on: "imds" }, times: 2,
    do: { status: 410, json: { error: "gone" } } });
  await accepted("managed", { clientId: who.clientId }, environment);
};

checks["App Service: system- and user-assigned identities"] = async () => {
  await makeIdentity({ kind: "system" });
  const environment = async () => ({
    IDENTITY_ENDPOINT: `http://127.0.0.1:${double.ports.app_service}/msi/token`,
    IDENTITY_HEADER: (await call("local_endpoints")).identity_header });
  await accepted("managed", {}, await environment());
  await denied(/./, "managed", {}, { ...await environment(), IDENTITY_HEADER: "wrong" });
  const who = await makeIdentity({ kind: "user" });
  await accepted("managed", { clientId: who.clientId }, await environment());
};

checks["Azure Arc: the token for whoever reads the file, in its directory only"] = async () => {
  await makeIdentity({ kind: "system" });
  const base = `http://127.0.0.1:${double.ports.arc}`;
  const environment = { IDENTITY_ENDPOINT: `${base}/metadata/identity/oauth2/token`,
    IMDS_ENDPOINT: base };
  const { arc_tokens: arcTokens } = await call("local_endpoints");
  await accepted("managed", { arcTokens }, environment);
  await call("settings", { arc: { realm: "/etc/shadow" } });
  await denied(/./, "managed", { arcTokens }, environment);
  assert.deepEqual((await log("arc")).map((entry) => entry.status), [401, 200, 401]);
};
