// The double of the vault for a test in Node.js: started and controlled here, and in the place of
// the real hosts for everything in this process that makes a TLS connection.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import tls from "node:tls";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node.js 18

const LOGINS = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com",
  "sts.windows.net", "login.microsoftonline.us", "login.chinacloudapi.cn",
  "login.partner.microsoftonline.cn"];
const VAULT = /^[a-z0-9-]+\.(vault|managedhsm)\.(azure\.net|usgovcloudapi\.net|azure\.cn)$/;

// Leads connections to the double by their host name. What the client verifies stays verified: the
// name in the certificate, the authority that signed it (ours), the host that a challenge is for.
export function redirect(ports) {
  const connect = tls.connect;
  const ca = readFileSync(ports.ca);
  tls.connect = (options, ...rest) => {
    const host = options.servername || options.host;
    const port = LOGINS.includes(host) ? ports.authority
      : VAULT.test(host) ? ports.vault : undefined;
    if (port === undefined) throw new Error(`a test may not connect to ${host}`);
    return connect({ ...options, host: "127.0.0.1", port, servername: host, ca }, ...rest);
  };
  syncBuiltinESMExports();
}

export async function startDouble(python, path) {
  const directory = mkdtempSync(join(tmpdir(), "vault-double-"));
  const child = spawn(python, ["-B", path, "--directory", directory],
    { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([
    once(lines, "line"), once(child, "exit").then(() => { throw new Error("the double ended"); })]);
  const ports = JSON.parse(line);
  const call = async (operation, args = {}) => {
    const response = await fetch(`http://127.0.0.1:${ports.control}/${operation}`,
      { method: "POST", body: JSON.stringify(args) });
    const result = await response.json();
    if (!response.ok) throw new Error(result.error);
    return result;
  };
  const stop = async () => {
    const ended = once(child, "exit");
    child.stdin.end();
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  return { ports, directory, call, stop };
}
