"""Cases 15 to 30 of thirty that a simple implementation gets wrong, shown by the whole program."""

import base64
import glob
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from datetime import datetime, timezone

import harness
from harness import need, need_root, wait_until
from key_cases import KeyCase, has_token, header_of, text_of_time
from key_conditions import AUTHORITY, DAY, GENERIC, USER_ASSIGNED
from preloaded import Preloaded
from proxy import Proxy
from vault_case import KEY, USAGE

BUSY = 5
TENANT = AUTHORITY.rsplit("/", 1)[1]


class Cases(KeyCase):
    def test_15_numbers_that_are_strings(self):
        self.double.create_identity(name="machine", kind="system")
        self.double.grant(self.vault, "machine")
        job = self.quick_job(credential={"source": "managed-identity"})
        env = self.environment(AZURE_POD_IDENTITY_AUTHORITY_HOST=self.double.imds_url())
        self.fit(job, env=env)
        asked = [each for each in self.double.log("imds") if "Metadata" in dict(each["headers"])]
        self.assertEqual(len(asked), 1, "the token was kept")
        self.double.inject({"merge": {"expires_in": 3600, "expires_on": None}}, on="imds",
                           times=None)
        self.fit(job, env=env)
        self.double.clear_faults()
        self.double.inject({"merge": {"expires_in": None, "expires_on": "soon"}}, on="imds",
                           times=None)
        self.unfit(job, GENERIC, "Unexpected", env=env)

    def test_15_an_hour_that_comes_twice(self):
        """The Azure CLI tells the end of a token in local time, without the zone."""
        job = self.quick_job(credential={"source": "azure-cli"})
        token = self.double.make_token(identity=self.agent,
                                       resource="https://vault.azure.net")["token"]
        directory = self.env.directory("bin")
        calls = os.path.join(directory, "calls")

        def signed_in(zone, ends, epoch=None):
            """How often az was called while a key was checked."""
            answer = {"accessToken": token, "expiresOn": ends, "tokenType": "Bearer",
                      "tenant": TENANT}
            if epoch:
                answer["expires_on"] = epoch
            with open(os.path.join(directory, "az"), "w", encoding="ascii",
                      opener=executable) as file:
                file.write(f"#!/bin/sh\necho \"$@\" >>{calls}\n"
                           f"cat <<'END'\n{json.dumps(answer)}\nEND\n")
            if os.path.exists(calls):
                os.remove(calls)
            self.fit(job, env=self.environment(PATH=f"{directory}:{os.environ['PATH']}", TZ=zone))
            with open(calls, encoding="ascii") as file:
                lines = file.read().splitlines()
            self.assertEqual(set(lines), {"account get-access-token --output json --resource "
                                          f"https://vault.azure.net --tenant {TENANT}"})
            return len(lines)

        now = int(time.time())
        for hours in (-9, 0, 5):
            zone = f"ZZZ{-hours}"
            ends = text_of_time(now + 3600 + hours * 3600)
            self.assertEqual(signed_in(zone, ends), 1, zone)
            self.assertEqual(signed_in(zone, text_of_time(now + hours * 3600), now + 3600), 1,
                             "the number without a zone counts more")
        # The clock goes back by an hour in ten minutes: what is 20 minutes before now by the one
        # reading is 40 minutes after now by the other, and the careful one is taken.
        change = datetime.fromtimestamp(now + 600 + 3600, timezone.utc)  # on the clock of summer
        if change.timetuple().tm_yday != datetime.fromtimestamp(now,
                                                                timezone.utc).timetuple().tm_yday \
                or change.month == 1:
            self.skipTest("the hour is too near to the end of a day")
        day = change.timetuple().tm_yday
        zone = f"WIN0SUM-1,0/0,{day - 1}/{change:%H:%M:%S}"
        twice = text_of_time(now + 40 * 60)
        self.assertGreater(signed_in(zone, twice), 1, "a token that may be over is not kept")
        self.assertEqual(signed_in(zone, text_of_time(now + 3 * 3600)), 1)

    def test_16_proxies_are_not_for_the_machine_itself(self):
        self.double.create_identity(name="machine", kind="system")
        self.double.grant(self.vault, "machine")
        proxy = Proxy()
        self.addCleanup(proxy.close)
        address = f"http://127.0.0.1:{proxy.port}"
        job = self.quick_job(credential={"source": "managed-identity"})
        env = self.environment(AZURE_POD_IDENTITY_AUTHORITY_HOST=self.double.imds_url())
        for names in (["http_proxy", "HTTP_PROXY"],
                      ["ALL_PROXY", "all_proxy", "https_proxy", "HTTPS_PROXY"]):
            self.fit(job, env={**env, **dict.fromkeys(names, address)})
        imds = f":{self.double.ports['imds']}"
        self.assertEqual([line for line in proxy.asked if imds in line or "http://" in line], [])
        self.assertTrue(proxy.asked, "what is configured holds for the vault")
        self.assertEqual({line.split()[0] for line in proxy.asked}, {"CONNECT"})

    def arc_job(self):
        self.double.create_identity(name="machine", kind="system")
        self.double.grant(self.vault, "machine")
        job = self.quick_job(credential={"source": "managed-identity"})
        return job, self.environment(**self.double.arc_environment())

    def test_17_an_arc_challenge_that_names_another_file(self):
        job, env = self.arc_job()
        trace = self.env.path("opened")
        for realm in ("/etc/shadow", "/etc/shadow.key",
                      "/var/opt/azcmagent/tokens/../../../../etc/shadow",
                      "/var/opt/azcmagent/tokens/sub/a.key", "/var/opt/azcmagent/tokens/.key",
                      "/var/opt/azcmagent/tokens/a.txt", "a.key", ""):
            with self.subTest(realm=realm):
                self.double.settings(arc={"realm": realm})
                prefix = []
                if shutil.which("strace"):
                    prefix = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=open,openat,openat2"]
                if realm:
                    self.unfit(job, "KwChallengeRejected", "ChallengeRejected", env=env,
                               prefix=prefix)
                else:
                    self.check(job, env=env, prefix=prefix)
                if prefix:
                    with open(trace, encoding="utf-8", errors="replace") as file:
                        self.assertNotIn("shadow", file.read())
        keys = [each for each in self.double.log("arc") if "Authorization" in dict(each["headers"])]
        self.assertEqual(keys, [])

    def test_17_an_arc_key_that_is_a_link_is_not_read(self):
        need_root()
        need("unshare", "mount")
        job, env = self.arc_job()
        tokens = self.double.local_endpoints()["arc_tokens"]
        os.makedirs(tokens, exist_ok=True)
        os.symlink("/etc/passwd", os.path.join(tokens, "link.key"))
        # The directory is the agent's own; nobody else on this machine sees the one of the test.
        script = ("mount -t tmpfs none /var/opt && mkdir -p /var/opt/azcmagent/tokens && "
                  f"mount --bind {tokens} /var/opt/azcmagent/tokens && exec \"$@\"")
        prefix = ["unshare", "-m", "sh", "-c", script, "sh"]
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("needs the right to mount")
        self.fit(job, env=env, prefix=prefix)
        self.double.settings(arc={"realm": "/var/opt/azcmagent/tokens/link.key"})
        self.unfit(job, "KwChallengeRejected", "ChallengeRejected", env=env, prefix=prefix)
        self.double.settings(arc={"realm": None, "size": 5000})
        self.unfit(job, "KwChallengeRejected", "ChallengeRejected", env=env, prefix=prefix)

    def test_18_a_newer_version_is_looked_for_once_a_day(self):
        job = self.secrets_job()
        old = self.kids(job)[0]
        self.assertEqual(self.looks(), 1)
        for name in ("b", "c"):
            self.wrap_secret(job, name)
            self.unwrap_secret(job, name)
        new = self.new_version()
        self.wrap_secret(job, "d")
        self.assertEqual((self.looks(), self.kids(job, "d")), (1, [old]))
        for number, at in enumerate((int(time.time()) - DAY - 60, int(time.time()) + 3600)):
            self.edit_state(job, lambda state, at=at: state.update(lastVersionCheck=at))
            self.wrap_secret(job, f"e{number}")
            self.assertEqual(self.looks(), 2 + number,
                             "after a day, and after a clock that went back")
        self.assertEqual(self.kids(job, "e0"), [new])
        self.assertEqual(self.kids(job), [new, old])
        status = self.key_status(job)
        self.assertEqual((status["version_mode"], status["rotations"][-1]["reason"]),
                         ("auto", "new-version"))

    def test_18_a_pinned_version_stays(self):
        job = self.secrets_job(keyUrl=self.newest())
        self.new_version()
        self.edit_state(job, lambda state: state.update(lastVersionCheck=0))
        self.wrap_secret(job, "b")
        self.assertEqual((self.kids(job, "b"), self.looks()), (self.kids(job), 0))
        self.assertEqual(self.key_status(job)["version_mode"], "pinned")

    def test_18_a_newest_version_that_cannot_be_used_leaves_the_old_one(self):
        job = self.secrets_job()
        old = self.kids(job)[0]
        self.new_version(enabled=False)
        self.edit_state(job, lambda state: state.update(lastVersionCheck=0))
        result = self.wrap_secret(job, "b")
        self.assertEqual(self.kids(job, "b"), [old])
        self.assertEqual(self.looks(), 2)
        self.wrap_secret(job, "c")
        self.assertEqual(self.looks(), 2, "tried again the next day")
        self.assertTrue(result)

    def test_19_the_modulus_is_measured(self):
        sizes = {"k2047": (2047, False), "k2056": (2056, True)}
        for name, (size, good) in sizes.items():
            self.double.create_key(vault=self.vault, name=name, size=size)
            job = self.quick_job(f"https://{self.vault}/keys/{name}")
            if good:
                self.assertEqual(self.fit(job)["version"]["bits"], size)
            else:
                found = self.unfit(job, "SsemUserErrorEncryptionKeyTypeNotSupported",
                                   "KeySizeUnsupported")
                self.assertIn(str(size), found["message"])
        self.set_key(leading_zero=True)
        for profile in ("import-export", "storage", "backup-vault"):
            self.assertEqual(self.fit(self.quick_job(), "--profile", profile)["version"]["bits"],
                             2048)
        self.double.create_key(vault=self.vault, name="padded", size=2047, leading_zero=True)
        self.unfit(self.quick_job(f"https://{self.vault}/keys/padded"),
                   "SsemUserErrorEncryptionKeyTypeNotSupported", "KeySizeUnsupported")

    def not_prepared(self, code):
        job = self.drive_job(retrySeconds=0)
        result = job.prepare()
        self.assertEqual((result.status, result.error()["code"]), (KEY, code), result)
        self.assert_untouched(job)
        self.assertEqual(len(self.requests(path=self.newest().split(".net")[1] + "/wrapkey",
                                           status=200)), 1)

    def test_20_a_key_that_wraps_but_may_not_unwrap(self):
        self.set_key(key_ops=["wrapKey"])
        self.not_prepared("KwKeyOperationNotPermitted")
        self.double.clear_log()
        # The description does not tell it: only the trial shows it.
        self.double.inject({"merge": {"key": {"key_ops": None}}}, method="GET", times=None)
        self.not_prepared("KwKeyOperationNotPermitted")

    def test_21_an_identity_that_may_wrap_but_not_unwrap(self):
        self.double.grant(self.vault, self.agent, ["get", "wrapKey"])
        self.not_prepared("CmkErrorAccessRevoked")

    def test_22_the_recovery_password_is_nowhere(self):
        job = self.drive_job(retrySeconds=0)
        outputs = []

        def run(*command):
            for flags in ([], ["--json"]):
                result = self.env.run(*command, *flags)
                outputs.append(result.out + result.err)

        for command in (["key", "check"], ["prepare"], ["verify"], ["status"], ["key", "status"]):
            run(*command, job.root)
        self.new_version()
        run("key", "rewrap", job.root)
        password = job.key()
        show = ["key", "show", job.root, "--drive", "DISK0"]
        # What the vault says, or gives back, does not carry it out.
        value = base64.urlsafe_b64encode(password.encode()).decode().rstrip("=")
        for do in ({"merge": {"value": value}}, {"error": {"message": f"no {password}"}},
                   {"error": {"code": password, "inner": password}}, {"body": password}):
            self.double.clear_faults()
            self.double.inject(do, path="/unwrapkey$", times=None)
            result = self.env.run(*show, "--json")
            self.assertEqual(result.status, KEY, result)
            outputs.append(result.out + result.err)
        self.double.clear_faults()

        self.double.inject({"delay": 3}, path="/unwrapkey$", times=1)
        before = len(self.requests(method="GET", status=200))
        process = self.env.start(*show, cwd=self.env.temporary, preexec_fn=allow_core)
        self.assertTrue(wait_until(
            lambda: len(self.requests(method="GET", status=200)) > before, process))
        time.sleep(0.5)  # now it waits for the unwrapped value
        for name in ("cmdline", "environ"):
            with open(f"/proc/{process.pid}/{name}", "rb") as file:
                outputs.append(file.read().decode("utf-8", "replace"))
        process.send_signal(signal.SIGABRT)
        process.wait()
        outputs.append(process.stdout.read().decode() + process.stderr.read().decode())
        process.stdout.close()
        process.stderr.close()

        run("key", "audit", job.root)
        run("key", "status", job.root)
        forms = {password, password.replace("-", ""), password.replace("-", " ")}
        needles = [text.encode(coding) for text in forms for coding in ("ascii", "utf-16-le")]
        blocks = [int(block) // 11 for block in password.split("-")]
        needles += [b"".join(block.to_bytes(2, "little") for block in blocks), self.secret.encode()]
        tokens = {header_of(each, "Authorization").partition(" ")[2]
                  for each in self.double.log("vault")}
        needles += [token.encode() for token in tokens if token]
        self.assertGreater(len(needles), 8)
        for output in outputs:
            for needle in needles:
                self.assertNotIn(needle, output.encode())
        own = {os.path.relpath(self.secret_file, self.env.root)}
        for name in harness.files_below(self.env.root):
            with open(self.env.path(name), "rb") as file:
                data = file.read()
            found = [needle for needle in needles if needle in data]
            self.assertTrue(not found or name in own, f"{name}: {len(found)}")
        self.assertEqual(glob.glob(self.env.temporary + "/core*"), [])

    def test_23_no_memory_may_be_locked(self):
        need("setpriv")
        limit = ["sh", "-c", "ulimit -l 0 && exec \"$@\"", "sh", "setpriv"]
        if os.geteuid() == 0:
            limit += ["--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock"]
        limit.append("--no-new-privs")
        job = self.quick_job()
        result = self.env.run("key", "wrap-secret", job.root, "--name", "unlock",
                              given=b"open sesame",
                              prefix=limit)
        self.assertEqual(result.status, 0, result)
        self.assertIn("could not be locked into memory", result.err)
        self.assertEqual(self.unwrap_secret(job), "open sesame")
        self.assertNotIn("could not be locked", self.run_ok("key", "check", job.root).err)

    def test_24_key_and_identity_are_not_changed_in_one_step(self):
        job = self.secrets_job(profile="data-box")
        self.double.create_key(vault=self.vault, name="second")
        second = f"https://{self.vault}/keys/second"
        command = ["key", "set", job.root]
        before = self.key_status(job)
        self.refused("key-and-identity", *command, "--key-url", second, "--identity", USER_ASSIGNED,
                     status=USAGE)
        self.assertEqual(self.key_status(job), before)
        job.spec["encryption"] |= {"keyUrl": second, "identity": {"type": "UserAssigned",
                                                                  "userAssignedIdentityId": USER_ASSIGNED}}
        job.write_spec()
        self.refused("key-and-identity", *command, status=USAGE)
        job.spec["encryption"]["keyUrl"] = self.key
        job.write_spec()
        self.run_ok(*command)
        self.assertEqual(self.key_status(job)["identity"],
                         {"type": "UserAssigned", "id": USER_ASSIGNED})
        self.run_ok(*command, "--key-url", second)
        self.assertTrue(self.kids(job)[0].startswith(second))

    def test_25_the_code_is_spelt_as_in_the_article(self):
        self.double.grant(self.vault, self.agent, [])
        spelt = "UserErrorCMKMissingMangedIdentityPermissionOnKeyVault"
        self.unfit(self.quick_job(profile="backup-vault"), spelt, "AccessDenied")
        self.assertEqual(self.run_ok("key", "explain", spelt, "--json").json()["code"], spelt)
        self.refused("code-unknown", "key", "explain", spelt.replace("Manged", "Managed"),
                     status=USAGE)

    def test_26_the_region_is_missing_or_different(self):
        self.double.set_vault(vault=self.vault, region="northeurope")
        job = self.quick_job()
        found = self.unfit(job, "KwVaultRegionMismatch", "RegionMismatch")
        self.assertIn("northeurope", found["message"])
        self.refused("KwVaultRegionMismatch", "key", "set", job.root)
        self.run_ok("key", "set", job.root, "--allow-region-mismatch")
        self.assertTrue(self.key_status(job)["region_mismatch_allowed"], "recorded in the job")
        self.wrap_secret(job)
        self.double.set_vault(vault=self.vault, region=None)
        other = self.quick_job()
        warned = self.fit(other)["findings"]
        self.assertEqual([(each["condition"], each["severity"]) for each in warned],
                         [("RegionMismatch", "warning")])
        for region in ("West Europe", "WESTEUROPE", "westeurope"):
            self.double.set_vault(vault=self.vault, region=region)
            self.assertEqual(self.fit(other)["findings"], [])

    def test_27_a_managed_hsm_gets_no_token_for_vaults_nor_the_reverse(self):
        hsm, key = self.make_vault(hsm=True)
        job = self.quick_job(key, vaults=[hsm], allowManagedHsm=True)
        self.fit(job)
        resources = {each["body"] for each in self.double.log("authority")}
        self.assertTrue(resources)
        for body in resources:
            self.assertIn("managedhsm.azure.net", body)
        for url, wrong in ((key, "https://vault.azure.net"),
                           (self.key, "https://managedhsm.azure.net")):
            self.double.clear_faults()
            self.double.clear_log()
            self.double.inject({"challenge": f'Bearer authorization="{AUTHORITY}", resource="{wrong}"'},
                               times=None)
            asked = self.quick_job(url, vaults=[hsm, self.vault], allowManagedHsm=True)
            self.unfit(asked, "KwChallengeRejected", "ChallengeRejected")
            self.assertEqual(self.double.log("authority"), [])
            self.assertEqual([each for each in self.double.log("vault") if has_token(each)], [])

    def test_28_error_bodies_of_all_kinds(self):
        job = self.quick_job()
        for form in ("empty", "html", "null", "absent", "list", "string"):
            self.double.clear_faults()
            self.double.inject({"error": {"form": form}}, times=None)
            found = self.unfit(job, GENERIC, "Unexpected")
            self.assertEqual((found["httpStatus"], found["vaultCode"]), (403, None))
        for form in ("innererror", "innerError", "nested"):
            self.double.clear_faults()
            self.double.inject({"error": {"form": form, "inner": "ForbiddenByRbac"}}, times=None)
            found = self.unfit(job, "CmkErrorAccessRevoked", "AccessDenied")
            self.assertEqual(found["vaultInnerCode"], "ForbiddenByRbac")

    def rotated(self):
        job = self.secrets_job()
        old, new = self.kids(job)[0], self.new_version()
        self.run_ok("key", "rewrap", job.root)
        return job, old, new

    def rewrap_at(self, job, ahead):
        """`key rewrap` on a clock that is so many seconds ahead; how many recipients it dropped."""
        env = self.environment(**Preloaded(self.env).clock(ahead))
        self.double.settings(clock_offset=ahead)
        return self.run_ok("key", "rewrap", job.root, "--json", env=env).json()["dropped"]

    def test_29_the_old_version_stays_for_a_whole_day(self):
        job, old, new = self.rotated()
        for ahead in (0, 3600, DAY - 120):
            self.assertEqual(self.rewrap_at(job, ahead), 0)
            self.assertEqual(self.kids(job), [new, old])
        self.assertEqual(self.rewrap_at(job, DAY + 60), 1)
        self.assertEqual(self.kids(job), [new])
        self.double.settings(clock_offset=0)
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")

    def test_29_a_clock_that_went_back_begins_the_day_anew(self):
        job, old, new = self.rotated()
        self.assertEqual(self.rewrap_at(job, -5 * DAY // 6), 0)
        self.assertEqual(self.rewrap_at(job, -DAY // 6), 0, "a day has not passed since then")
        self.assertEqual(self.kids(job), [new, old])
        self.edit_state(job, lambda state: state["rotations"][-1].update(
            time=int(time.time()) + 10 * DAY, oldDroppable=1))
        self.assertEqual(self.rewrap_at(job, 0), 0)
        self.assertEqual(self.kids(job), [new, old])
        self.assertEqual(self.rewrap_at(job, DAY + 60), 1)

    def test_29_nothing_is_dropped_when_the_new_key_does_not_open(self):
        job, old, new = self.rotated()
        self.set_key(enabled=False)
        self.edit_state(job, lambda state: state["rotations"][-1].update(time=1, oldDroppable=2))
        self.assertEqual(self.env.run("key", "rewrap", job.root).status, KEY)
        self.assertEqual(self.kids(job), [new, old])
        self.assertEqual(self.unwrap_secret(job), "secret of unlock")

    def test_30_two_agents_rewrap_one_job(self):
        names = [f"s{number}" for number in range(6)]
        job = self.secrets_job(*names)
        new = self.new_version()
        self.double.inject({"delay": 0.3}, path="/wrapkey$", times=None)
        processes = [self.env.start("key", "rewrap", job.root, "--json") for _ in range(3)]
        results = [self.env.wait(process) for process in processes]
        self.assertEqual(sorted(result.status for result in results)[:1], [0],
                         list(map(str, results)))
        for result in results:
            if result.status != 0:
                self.assertEqual((result.status, result.error()["code"]), (BUSY, "job-busy"),
                                 result)
        self.double.clear_faults()
        for name in names:
            self.assertEqual((self.kids(job, name)[0], len(self.kids(job, name))), (new, 2))
            self.assertEqual(self.unwrap_secret(job, name), f"secret of {name}")
        self.assertEqual(self.key_status(job)["state"], "ok")
        self.assertEqual(self.run_ok("key", "audit", job.root, "--json").json()["chain"], "whole")
        for name in names:
            self.assertEqual(stat.S_IMODE(os.stat(job.path("secrets", name + ".jwe.json")).st_mode),
                             0o600)


def executable(path, flags):
    return os.open(path, flags, 0o755)


def allow_core():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


if __name__ == "__main__":
    harness.main()
