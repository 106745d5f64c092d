// Keys through @azure/keyvault-keys.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { ALL, DAY, call, log, makeVault, now, refused } from "./case.mjs";
import { KeyClient } from "@azure/keyvault-keys";
import * as jose from "jose";

export const checks = {};

checks["the first request has neither token nor body, the second both"] = async () => {
  const { keys, crypto, makeKey } = await makeVault();
  const { kid } = await makeKey();
  await crypto(kid).wrapKey("RSA-OAEP-256", randomBytes(32));
  const [first, second] = await log();
  assert.equal(first.status, 401);
  assert.equal(first.body, "");
  const names = first.headers.map(([name]) => name.toLowerCase());
  assert.ok(!names.includes("authorization"));
  assert.equal(second.status, 200);
  assert.ok(second.headers.some(([name]) => name.toLowerCase() === "authorization"));
};

checks["get gives the newest version, or the one that is named"] = async () => {
  const { keys, makeKey } = await makeVault({ recovery_level: "CustomizedRecoverable",
    recoverable_days: 7 });
  const exp = now() + 30 * DAY;
  const first = await makeKey({ exp, tags: { purpose: "drives" } });
  const second = await makeKey({ size: 3072, enabled: false });
  const newest = await keys.getKey("cmk");
  assert.equal(newest.id, second.kid);
  assert.equal(newest.key.n.length, 384);
  assert.equal(newest.properties.enabled, false);
  const named = await keys.getKey("cmk", { version: first.version });
  assert.equal(named.id, first.kid);
  assert.equal(named.keyType, "RSA");
  assert.deepEqual(named.keyOperations, ["encrypt", "decrypt", "sign", "verify", "wrapKey",
    "unwrapKey"]);
  assert.equal(named.properties.expiresOn.getTime(), exp * 1000);
  assert.equal(named.properties.recoveryLevel, "CustomizedRecoverable");
  assert.equal(named.properties.recoverableDays, 7);
  assert.deepEqual(named.properties.tags, { purpose: "drives" });
};

checks["other kinds of keys are shown as what they are"] = async () => {
  const { keys, makeKey } = await makeVault();
  await makeKey({ kty: "EC", crv: "P-256" });
  const ec = await keys.getKey("cmk");
  assert.deepEqual([ec.keyType, ec.key.crv, ec.key.x.length], ["EC", "P-256", 32]);
  await makeKey({ kty: "RSA-HSM", managed: true, exportable: true, release_policy: true });
  const hsm = await keys.getKey("cmk");
  assert.equal(hsm.keyType, "RSA-HSM");
  assert.equal(hsm.properties.managed, true);
  assert.equal(hsm.properties.exportable, true);
  assert.match(Buffer.from(hsm.properties.releasePolicy.encodedPolicy).toString(), /"version"/);
  await makeKey({ kty: "oct-HSM", size: 256 });
  assert.equal((await keys.getKey("cmk")).keyType, "oct-HSM");
};

checks["all versions are listed over several pages, not by date"] = async () => {
  const { keys, makeKey } = await makeVault();
  const made = [];
  for (let count = 0; count < 7; ++count) made.push((await makeKey({ kty: "EC" })).version);
  const pages = [];
  for await (const page of keys.listPropertiesOfKeyVersions("cmk").byPage({ maxPageSize: 3 })) {
    pages.push(page.map((item) => item.version));
  }
  assert.deepEqual(pages.map((page) => page.length), [3, 3, 1]);
  assert.deepEqual([...made].sort(), pages.flat());
  const all = [];
  for await (const item of keys.listPropertiesOfKeyVersions("cmk")) all.push(item.version);
  assert.equal(all.length, 7);
};

checks["what is wrapped by the vault is unwrapped by it"] = async () => {
  const { crypto, makeKey } = await makeVault();
  for (const size of [2048, 4096]) {
    const { kid } = await makeKey({ size });
    const secret = randomBytes(32);
    for (const algorithm of ["RSA-OAEP-256", "RSA-OAEP"]) {
      const wrapped = await crypto(kid).wrapKey(algorithm, secret);
      assert.equal(wrapped.result.length, size / 8);
      const opened = await crypto(kid).unwrapKey(algorithm, wrapped.result);
      assert.deepEqual(Buffer.from(opened.result), secret);
      assert.equal(opened.keyID, kid);
    }
  }
  assert.ok((await log()).some((entry) => entry.path.endsWith("/wrapkey")));
};

checks["what the client wraps itself, with the public key, the vault unwraps"] = async () => {
  const { keys, crypto, makeKey } = await makeVault();
  await makeKey();
  const key = await keys.getKey("cmk");
  const secret = randomBytes(32);
  const wrapped = await crypto(key).wrapKey("RSA-OAEP", secret);
  assert.ok(!(await log()).some((entry) => entry.path.endsWith("/wrapkey")), "wrapped locally");
  const opened = await crypto(key).unwrapKey("RSA-OAEP", wrapped.result);
  assert.deepEqual(Buffer.from(opened.result), secret);
};

checks["without a version the newest one wraps, and an older one unwraps its own"] = async () => {
  const { crypto, makeKey, host } = await makeVault();
  const first = await makeKey();
  const wrapped = await crypto(first.kid).wrapKey("RSA-OAEP-256", randomBytes(16));
  const second = await makeKey();
  const newest = await crypto(`https://${host}/keys/cmk`).wrapKey("RSA-OAEP-256", randomBytes(16));
  assert.equal(newest.keyID, second.kid);
  await refused(crypto(second.kid).unwrapKey("RSA-OAEP-256", wrapped.result),
    { statusCode: 400, code: "BadParameter" });
  const opened = await crypto(first.kid).unwrapKey("RSA-OAEP-256", wrapped.result);
  assert.equal(opened.result.length, 16);
};

checks["a disabled key does nothing, an expired one still unwraps"] = async () => {
  const { keys, crypto, makeKey, setKey, host } = await makeVault();
  const { kid } = await makeKey();
  const wrapped = await crypto(kid).wrapKey("RSA-OAEP-256", randomBytes(32));
  const blind = () => crypto(kid);
  await setKey({ enabled: false });
  let error = await refused(blind().unwrapKey("RSA-OAEP-256", wrapped.result),
    { statusCode: 403, code: "Forbidden" });
  assert.equal(error.details.error.innerError.code, "KeyDisabled");
  await refused(blind().wrapKey("RSA-OAEP-256", randomBytes(32)), { statusCode: 403 });
  assert.equal((await keys.getKey("cmk")).properties.enabled, false);
  await call("set_vault", { vault: host, get_of_disabled: 403 });
  await refused(keys.getKey("cmk"), { statusCode: 403, code: "Forbidden" });
  // Who may read the key is told by the client itself that it has expired, also for unwrapping.
  await call("set_permissions", { vault: host, identity: "agent",
    operations: ["wrapKey", "unwrapKey"] });
  await setKey({ enabled: true, exp: now() - DAY });
  await blind().unwrapKey("RSA-OAEP-256", wrapped.result);
  error = await refused(blind().wrapKey("RSA-OAEP-256", randomBytes(32)), { statusCode: 403 });
  assert.match(error.message, /expired/);
  await setKey({ exp: null, nbf: now() + DAY });
  await blind().unwrapKey("RSA-OAEP-256", wrapped.result);
  error = await refused(blind().wrapKey("RSA-OAEP-256", randomBytes(32)), { statusCode: 403 });
  assert.match(error.message, /not yet valid/);
};

checks["a deleted key is found among the deleted ones, later, and can be recovered"] = async () => {
  const { keys, makeKey, host } = await makeVault({ deletion_delay: 1.5 });
  const { kid } = await makeKey();
  const poller = await keys.beginDeleteKey("cmk", { intervalInMs: 200 });
  await refused(keys.getKey("cmk"), { statusCode: 404, code: "KeyNotFound" });
  await refused(keys.getDeletedKey("cmk"), { statusCode: 404, code: "KeyNotFound" });
  await poller.pollUntilDone();
  const deleted = await keys.getDeletedKey("cmk");
  assert.equal(deleted.properties.recoveryId, `https://${host}/deletedkeys/cmk`);
  assert.equal(deleted.properties.scheduledPurgeDate - deleted.properties.deletedOn,
    90 * DAY * 1000);
  await refused(keys.createKey("cmk", "RSA"), { statusCode: 409, code: "Conflict" });
  await refused(keys.purgeDeletedKey("cmk"), { statusCode: 403, code: "Forbidden" });
  const recovery = await keys.beginRecoverDeletedKey("cmk", { intervalInMs: 200 });
  await recovery.pollUntilDone();
  assert.equal((await keys.getKey("cmk")).id, kid);
};

checks["without purge protection a deleted key can be purged"] = async () => {
  const { keys } = await makeVault({ recovery_level: "Recoverable+Purgeable" });
  const made = await keys.createKey("cmk", "RSA", { keySize: 3072 });
  assert.equal(made.properties.recoveryLevel, "Recoverable+Purgeable");
  await (await keys.beginDeleteKey("cmk", { intervalInMs: 100 })).pollUntilDone();
  await keys.purgeDeletedKey("cmk");
  await refused(keys.getDeletedKey("cmk"), { statusCode: 404, code: "KeyNotFound" });
  assert.notEqual((await keys.createKey("cmk", "EC")).id, made.id);
};

checks["the client waits as long as it is told when there are too many requests"] = async () => {
  const { keys, makeKey, inject } = await makeVault({}, { retryOptions: { maxRetries: 3 } });
  await makeKey({ kty: "EC" });
  await keys.getKey("cmk");
  for (const [wait, least] of [[{ retry_after: 2 }, 1900], [{ retry_after: { date: 3 } }, 1900],
    [{ retry_after_ms: 700 }, 690], [{ retry_after: 0 }, 0]]) {
    await inject(wait);
    await call("clear_log");
    const begin = Date.now();
    await keys.getKey("cmk");
    assert.ok(Date.now() - begin >= least, `${JSON.stringify(wait)}: ${Date.now() - begin} ms`);
    assert.deepEqual((await log()).map((entry) => entry.status), [429, 200]);
  }
};

checks["the client understands the error bodies of the service"] = async () => {
  const { keys, makeKey, inject, host } = await makeVault();
  await makeKey({ kty: "EC" });
  await refused(keys.getKey("absent"), { statusCode: 404, code: "KeyNotFound" });
  await refused(keys.getKey("cmk", { version: "0".repeat(32) }),
    { statusCode: 404, code: "KeyNotFound" });
  for (const style of ["rbac", "policy"]) {
    await call("set_vault", { vault: host, style });
    await call("set_permissions", { vault: host, identity: "agent", operations: [] });
    const error = await refused(keys.getKey("cmk"), { statusCode: 403, code: "Forbidden" });
    assert.match(error.message, style === "rbac" ? /not authorized/ : /keys get permission/);
  }
  await call("set_permissions", { vault: host, identity: "agent", operations: ALL });
  for (const [settings, message] of [[{ firewall: true }, /Client address/],
    [{ public_access: false, firewall: false }, /Public network access/]]) {
    await call("set_vault", { vault: host, ...settings });
    await refused(keys.getKey("cmk"), { statusCode: 403, code: "Forbidden", message });
  }
  await call("set_vault", { vault: host, public_access: true });
  for (const form of ["innererror", "innerError", "nested"]) {
    await inject({ error: { status: 403, code: "Forbidden", inner: "KeyDisabled", form } });
    await refused(keys.getKey("cmk"), { statusCode: 403, code: "Forbidden" });
  }
  for (const form of ["null", "absent", "empty", "html"]) {
    await inject({ error: { status: 403, form } });
    await refused(keys.getKey("cmk"), {}); // its own error is a TypeError for some of them
  }
};

checks["a challenge for another resource is refused, each time"] = async () => {
  const { keys, makeKey, inject, host } = await makeVault();
  await makeKey({ kty: "EC" });
  const authority = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555";
  for (const resource of ["https://azure.example", "https://vault.azure.net.evil.example",
    "https://vault.usgovcloudapi.net"]) {
    await inject({ challenge: `Bearer authorization="${authority}", resource="${resource}"` });
    await refused(keys.getKey("cmk"), { message: /challenge resource/ });
  }
  assert.deepEqual(await log("authority"), []);
  await keys.getKey("cmk");
};

checks["a challenge can come with scope, and with parameters in another order"] = async () => {
  const authority = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555";
  for (const challenge of [
    `Bearer authorization="${authority}", scope="https://vault.azure.net/.default"`,
    `Bearer resource="https://vault.azure.net", authorization="${authority}"`]) {
    const { keys, makeKey, inject } = await makeVault();
    await makeKey({ kty: "EC" });
    await inject({ challenge });
    await keys.getKey("cmk");
  }
};

checks["a token with the claims that are asked for"] = async () => {
  const { keys, makeKey, host } = await makeVault();
  await makeKey({ kty: "EC" });
  await keys.getKey("cmk");
  const nbf = { essential: true, value: String(now()) };
  await call("set_vault", { vault: host, required_claims: { access_token: { nbf } },
    claims_form: "bare" });
  await keys.getKey("cmk");
  assert.deepEqual((await log()).map((entry) => entry.status), [401, 200, 401, 200]);
};

checks["a token for another tenant or resource, or of yesterday, is no token"] = async () => {
  const { makeKey, host } = await makeVault();
  await makeKey({ kty: "EC" });
  for (const [settings, message] of [
    [{ overrides: { tid: "99999999-2222-3333-4444-555555555555" } }, /AKV10032: Invalid issuer/],
    [{ resource: "https://managedhsm.azure.net" }, /AKV10022: Invalid audience/],
    [{ lifetime: -DAY }, /IDX10223/]]) {
    const { token } = await call("make_token",
      { identity: "agent", resource: "https://vault.azure.net", ...settings });
    const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 9e6 }) };
    const keys = new KeyClient(`https://${host}`, credential, { retryOptions: { maxRetries: 0 } });
    await refused(keys.getKey("cmk"), { statusCode: 401, code: "Unauthorized", message });
  }
};

checks["a managed HSM, and the other clouds, each with its own resource"] = async () => {
  const gov = "https://login.microsoftonline.us";
  const china = "https://login.chinacloudapi.cn";
  for (const [settings, authorityHost, resource] of [
    [{ hsm: true }, undefined, "https://managedhsm.azure.net"],
    [{ cloud: "usgovernment" }, gov, "https://vault.usgovcloudapi.net"],
    [{ cloud: "usgovernment", hsm: true }, gov, "https://managedhsm.usgovcloudapi.net"],
    [{ cloud: "china" }, china, "https://vault.azure.cn"]]) {
    const { keys, crypto, makeKey, host } = await makeVault(settings, { authorityHost });
    const { kid } = await makeKey();
    assert.equal((await keys.getKey("cmk")).id, kid);
    await crypto(kid).wrapKey("RSA-OAEP-256", randomBytes(32));
    const asked = (await log("authority")).filter((entry) => entry.method === "POST");
    assert.equal(new URLSearchParams(asked[0].body).get("scope"), `${resource}/.default`);
    if (settings.hsm) {
      await call("set_permissions", { vault: host, identity: "agent", operations: [] });
      await refused(keys.getKey("cmk"), { statusCode: 403, code: "AccessDenied" });
    }
  }
};

checks["a JWE of jose under the vault's public key opens through unwrapKey"] = async () => {
  const { keys, crypto, makeKey } = await makeVault();
  await makeKey();
  const { key, id } = await keys.getKey("cmk");
  const base64url = (bytes) => Buffer.from(bytes).toString("base64url");
  const recipient = await jose.importJWK(
    { kty: "RSA", n: base64url(key.n), e: base64url(key.e) }, "RSA-OAEP-256");
  const envelope = await new jose.GeneralEncrypt(Buffer.from("a password"))
    .setProtectedHeader({ enc: "A256GCM" }).addRecipient(recipient)
    .setUnprotectedHeader({ alg: "RSA-OAEP-256", kid: id }).encrypt();
  const wrapped = Buffer.from(envelope.recipients[0].encrypted_key, "base64url");
  const { result } = await crypto(id).unwrapKey("RSA-OAEP-256", wrapped);
  const { recipients, ...rest } = envelope;
  const opened = await jose.flattenedDecrypt(
    { ...rest, header: { alg: "dir" } }, new Uint8Array(result));
  assert.equal(Buffer.from(opened.plaintext).toString(), "a password");
  const exported = await call("export_key", { vault: new URL(id).host, name: "cmk" });
  const direct = await jose.generalDecrypt(envelope,
    await jose.importPKCS8(exported.pem, "RSA-OAEP-256"));
  assert.equal(Buffer.from(direct.plaintext).toString(), "a password");
};
