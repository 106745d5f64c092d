// What the checks share: the double, a vault in it with clients, what a client must report.

import assert from "node:assert/strict";
import { redirect, startDouble } from "./double.mjs";
import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

export const SECRET = "a secret of the test";
export const ALL = ["get", "list", "wrapKey", "unwrapKey", "create", "delete", "recover", "purge"];
export const DAY = 86400;
export const now = () => Math.floor(Date.now() / 1000);

const [python, path] = process.argv.slice(2);
export const double = await startDouble(python, path);
export const { call } = double;
redirect(double.ports);

// A vault with an application that may do everything, and clients for it.
export async function makeVault(settings = {}, options = {}) {
  await call("reset");
  const vault = await call("create_vault", { name: "demo", ...settings });
  const identity = await call("create_identity", { name: "agent", tenant: vault.tenant,
    secret: SECRET });
  await call("set_permissions", { vault: vault.host, identity: "agent", operations: ALL });
  const credential = new ClientSecretCredential(vault.tenant, identity.client_id, SECRET,
    { authorityHost: options.authorityHost });
  const retryOptions = { maxRetries: 0, ...options.retryOptions };
  return {
    host: vault.host, credential, identity,
    keys: new KeyClient(vault.url, credential, { retryOptions }),
    crypto: (key) => new CryptographyClient(key, credential, { retryOptions }),
    makeKey: (settings = {}) => call("create_key", { vault: vault.host, name: "cmk", ...settings }),
    setKey: (settings) => call("set_key", { vault: vault.host, name: "cmk", ...settings }),
    inject: (what, match = {}, times = 1) => call("inject", { do: what, match, times }),
  };
}

export const log = async (endpoint = "vault") =>
  (await call("log")).filter((entry) => entry.endpoint === endpoint);

export async function refused(promise, wanted) {
  const error = await promise.then(() => null, (reason) => reason);
  assert.notEqual(error, null, "the client reports no error");
  for (const [name, value] of Object.entries(wanted)) {
    if (value instanceof RegExp) assert.match(String(error[name]), value);
    else assert.deepEqual(error[name], value, `${name} of ${error}`);
  }
  return error;
}
