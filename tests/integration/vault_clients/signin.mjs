// Reads the key cmk of the vault demo with one credential, and prints its identifier or the error
// as JSON: node signin.mjs '{"kind": ..., "options": {...}, "ports": {...}}'

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname, join } from "node:path";
import { redirect } from "./double.mjs";

const ARC_TOKENS = "/var/opt/azcmagent/tokens"; // the one directory that clients read keys from

// The agent of Azure Arc is not installed here: its directory is looked for in another place.
function moveArcTokens(to) {
  for (const name of ["readFileSync", "statSync", "existsSync", "accessSync"]) {
    const original = fs[name];
    fs[name] = (path, ...rest) => {
      const there = typeof path === "string" && dirname(path) === ARC_TOKENS;
      return original(there ? join(to, basename(path)) : path, ...rest);
    };
  }
  syncBuiltinESMExports();
}

const { kind, options, ports } = JSON.parse(process.argv[2]);
redirect(ports);
if (options.arcTokens) moveArcTokens(options.arcTokens);
const identity = await import("@azure/identity");
const { KeyClient } = await import("@azure/keyvault-keys");

const makers = {
  secret: () =>
    new identity.ClientSecretCredential(options.tenant, options.clientId, options.secret),
  certificate: () => new identity.ClientCertificateCredential(options.tenant, options.clientId,
    { certificatePath: options.path }),
  workload: () => new identity.WorkloadIdentityCredential(),
  managed: () => {
    const { clientId, objectId, resourceId } = options;
    return new identity.ManagedIdentityCredential({ clientId, objectId, resourceId });
  },
};

try {
  const client = new KeyClient("https://demo.vault.azure.net", makers[kind](),
    { retryOptions: { maxRetries: 0 } });
  console.log(JSON.stringify({ kid: (await client.getKey("cmk")).id }));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, message: error.message }));
}
