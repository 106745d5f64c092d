// Envelopes crossed with Microsoft's client and jose. Reads one line of JSON after another and
// answers each with one line: {"value": ...} or {"refused": "..."}.
//
//   node crossed.mjs '{"vault": PORT, "authority": PORT, "ca": FILE, "tenant", "client_id", "secret"}'
//
// Requests:
//   {"open": ENVELOPE, "kid"}        the recipient `kid`, its key unwrapped by the client, the rest
//                                    opened by jose; -> the payload
//   {"open": ENVELOPE, "pem"}        by jose alone, under a private key
//   {"seal": PAYLOAD, "header", "kid"}   content key wrapped by the client, JWE built by jose
//                                    -> the envelope

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { redirect } from "./double.mjs";
import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient } from "@azure/keyvault-keys";
import * as jose from "jose";

const ALG = "RSA-OAEP-256";
const settings = JSON.parse(process.argv[2]);
redirect(settings);
const credential = new ClientSecretCredential(settings.tenant, settings.client_id, settings.secret);
const client = (kid) => new CryptographyClient(kid, credential, { retryOptions: { maxRetries: 0 } });

// As an opener reads it: jose takes an object, which cannot have a member twice.
async function open({ open: text, kid, pem }) {
  const envelope = JSON.parse(text);
  if (pem) {
    const { plaintext } = await jose.generalDecrypt(envelope, await jose.importPKCS8(pem, ALG),
      { keyManagementAlgorithms: [ALG], contentEncryptionAlgorithms: ["A256GCM"] });
    return Buffer.from(plaintext).toString();
  }
  const { recipients, ...rest } = envelope;
  const recipient = recipients.find((each) => each.header.kid === kid);
  if (recipient?.header.alg !== ALG) throw new Error(`no recipient ${kid} with ${ALG}`);
  const { result } = await client(kid).unwrapKey(ALG,
    Buffer.from(recipient.encrypted_key, "base64url"));
  const { plaintext } = await jose.flattenedDecrypt({ ...rest, header: { alg: "dir" } },
    new Uint8Array(result));
  return Buffer.from(plaintext).toString();
}

async function seal({ seal: payload, header, kid }) {
  const key = randomBytes(32);
  const { result, keyID } = await client(kid).wrapKey(ALG, key);
  const jwe = await new jose.FlattenedEncrypt(Buffer.from(payload)).setProtectedHeader(header)
    .setUnprotectedHeader({ alg: "dir" }).encrypt(new Uint8Array(key));
  const { protected: head, iv, ciphertext, tag } = jwe;
  return JSON.stringify({ protected: head, iv, ciphertext, tag, recipients: [
    { header: { alg: ALG, kid: keyID }, encrypted_key: Buffer.from(result).toString("base64url") }] });
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { value: await (request.open ? open(request) : seal(request)) };
  } catch (error) {
    answer = { refused: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer));
}
