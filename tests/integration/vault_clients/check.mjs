// Microsoft's own clients believe that the double is a vault:
//
//   node check.mjs PYTHON PATH-OF-THE-DOUBLE [WORDS-OF-A-TITLE]
//
// Exit status: 0 all checks hold, 1 otherwise.

import { call, double } from "./case.mjs";
import { checks as credentials } from "./credentials.mjs";
import { checks as keys } from "./keys.mjs";

const only = process.argv[4] ?? "";
let failed = 0;
for (const [title, check] of Object.entries({ ...keys, ...credentials })) {
  if (!title.includes(only)) continue;
  try {
    await check();
    console.log(`ok      ${title}`);
  } catch (error) {
    ++failed;
    console.log(`FAILED  ${title}\n${error.stack}\n${error.stderr ?? ""}`);
    for (const entry of (await call("log")).slice(-6)) {
      console.log("       ", entry.endpoint, entry.method, entry.target, entry.status);
    }
  }
}
await double.stop();
process.exit(failed ? 1 : 0);
