"""Answers of a vault that nobody understands, and those that do not come."""

import re
import socket
import threading

import harness
from key_conditions import FOR_EVER, PROFILES, ConditionCase
from vault_case import KEY


class Wires(ConditionCase):
    """What goes wrong on the way, and answers that nobody understands."""

    def test_a_busy_vault(self):
        self.double.inject({"retry_after": 1}, **FOR_EVER)
        self.assert_condition("Throttled", httpStatus=429, vaultCode="Throttled", requestId=True,
                              kid=self.key)

    def test_a_busy_sign_in_host(self):
        self.double.inject({"retry_after": 1}, on="authority", **FOR_EVER)
        self.assert_condition("Throttled", httpStatus=429, requestId=True, kid=self.key,
                              vaultCode="Throttled", profiles=["import-export"])

    def test_a_vault_that_is_out_of_order(self):
        for status in (500, 502, 503, 504, 408):
            self.double.clear_faults()
            self.double.inject({"error": {"status": status, "code": "Out"}}, **FOR_EVER)
            self.assert_condition("Unavailable", httpStatus=status, vaultCode="Out", requestId=True,
                                  kid=self.key,
                                  profiles=PROFILES if status == 500 else ["import-export"])

    def test_connections_that_break(self):
        for do in ({"reset": "before"}, {"reset": "after"}, {"truncate": True}):
            with self.subTest(do=do):
                self.double.clear_faults()
                self.double.inject(do, **FOR_EVER)
                self.assert_condition("Unavailable", kid=self.key,
                                      profiles=PROFILES if "truncate" in do else ["data-box"])

    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        job = self.quick_job(testEndpoints={"connectTo": [f"{self.vault}:443:127.0.0.1:{port}"]})
        self.assert_condition("Unavailable", job=job, kid=self.key)

    def test_an_answer_that_does_not_come(self):
        harness.need_not_instrumented("the time")
        self.double.inject({"delay": 32}, **FOR_EVER)
        job = self.quick_job()
        results = {}

        def check(profile):
            results[profile] = self.check(job, "--profile", profile)

        threads = [threading.Thread(target=check, args=[profile]) for profile in PROFILES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for profile, (status, document) in results.items():
            self.assertEqual(status, KEY, document)
            found = next(each for each in document["findings"] if each["severity"] == "error")
            self.assert_tells(found, "Timeout", profile, httpStatus=None, kid=self.key)

    def test_certificates_that_prove_nothing(self):
        for host in (self.vault, "login.microsoftonline.com"):
            for kind in ("expired", "untrusted", "wrong-name"):
                with self.subTest(host=host, kind=kind):
                    self.double.set_certificate(host=host, kind=kind)
                    self.assert_condition("TlsFailure", kid=self.key, profiles=(
                        PROFILES if host == self.vault and kind == "expired" else ["import-export"]))
            self.double.set_certificate(host=host, kind="valid")
        self.fit(self.quick_job())

    def test_a_redirect_is_not_followed(self):
        other, _ = self.make_vault()
        job = self.quick_job(testEndpoints={"connectTo": self.double.connect_to(self.vault, other),
                                            "caFile": self.double.ca})
        for status in (301, 302, 307, 308):
            self.double.clear_faults()
            self.double.inject({"redirect": f"https://{other}/keys/cmk", "status": status},
                               **FOR_EVER)
            self.assert_condition("Unexpected", "--key-url", f"https://{self.vault}/keys/cmk",
                                  job=job,
                                  httpStatus=status, requestId=True,
                                  profiles=PROFILES if status == 307 else ["import-export"])
        self.assertEqual(self.requests(host=other), [])

    def test_all_forms_of_error_bodies(self):
        job = self.quick_job()
        for form, code, inner in (("innererror", "Odd", "Inside"), ("innerError", "Odd", "Inside"),
                                  ("nested", "Odd", "Inside"), ("null", None, None),
                                  ("absent", None, None),
                                  ("empty", None, None), ("list", None, None),
                                  ("string", None, None),
                                  ("html", None, None)):
            for status in (400, 404, 418):
                with self.subTest(form=form, status=status):
                    self.double.clear_faults()
                    self.double.inject({"error": {"status": status, "code": "Odd",
                                                  "inner": "Inside",
                                                  "form": form}}, **FOR_EVER)
                    self.assert_condition("Unexpected", job=job, profiles=["import-export"],
                                          httpStatus=status, vaultCode=code, vaultInnerCode=inner,
                                          requestId=True, kid=self.key)

    def test_both_spellings_and_any_depth_of_inner_errors_decide(self):
        for form in ("innererror", "innerError", "nested"):
            self.double.clear_faults()
            self.double.inject({"error": {"inner": "ForbiddenByFirewall", "form": form}},
                               **FOR_EVER)
            self.assert_condition("FirewallDenied", httpStatus=403, vaultCode="Forbidden",
                                  requestId=True,
                                  vaultInnerCode="ForbiddenByFirewall", profiles=["data-box"])

    def test_conflicts(self):
        for inner, condition in (("ObjectIsBeingDeleted", "KeySoftDeleted"),
                                 ("ObjectIsDeletedButRecoverable", "KeySoftDeleted"),
                                 ("ObjectIsBeingRecovered", "Unavailable"),
                                 ("SomethingElse", "Unexpected")):
            self.double.clear_faults()
            self.double.inject({"error": {"status": 409, "code": "Conflict", "inner": inner}},
                               **FOR_EVER)
            self.assert_condition(condition, httpStatus=409, vaultCode="Conflict",
                                  vaultInnerCode=inner,
                                  requestId=True, kid=self.key)

    def test_an_error_body_that_is_too_long_takes_nothing_from_its_status(self):
        job = self.quick_job()
        for size in (100 << 10, 1 << 20):
            self.double.clear_faults()
            self.double.inject({"error": {"inner": "ForbiddenByRbac"}, "oversize": size},
                               **FOR_EVER)
            self.assert_condition("Unexpected", job=job, profiles=["import-export"], kid=self.key,
                                  httpStatus=403, requestId=True)

    def test_what_a_vault_says_cannot_act_on_a_terminal(self):
        self.double.inject({"error": {"message": "\x1b[2J\x07 gone \u202e",
                                      "inner": "ForbiddenByRbac"}},
                           **FOR_EVER)
        result = self.env.run("key", "check", self.quick_job().root)
        self.assertEqual(result.status, KEY)
        self.assertIsNone(re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.out + result.err),
                          result)

    def test_descriptions_that_cannot_be_used(self):
        job = self.quick_job()
        faults = [{"body": ""}, {"body": "{"}, {"body": "[]"}, {"body": "null"}, {"json": {}},
                  {"body": '{"key":{"kid":"x"},"attributes":{}}'},
                  {"kid": {"host": "other.vault.azure.net"}}, {"kid": {"name": "other"}},
                  {"kid": "cmk"}, {"kid": self.key}, {"kid": {"version": "0" * 31}}, {"merge": {"key": None}},
                  {"merge": {"attributes": None}}, {"merge": {"key": {"n": "!"}}},
                  {"merge": {"attributes": {"exp": "tomorrow"}}},
                  {"merge": {"attributes": {"enabled": "yes"}}}]
        for do in faults:
            with self.subTest(do=do):
                self.double.clear_faults()
                self.double.inject(do, method="GET", **FOR_EVER)
                self.assert_condition("Unexpected", job=job, profiles=["import-export"],
                                      kid=self.key,
                                      httpStatus=200, requestId=True)

    def test_results_that_cannot_be_used(self):
        kid = self.double.export_key(vault=self.vault, name="cmk")["kid"]
        job = self.quick_job()
        for path in ("/wrapkey$", "/unwrapkey$"):
            for do in ({"body": ""}, {"json": {"value": "AAAA"}}, {"merge": {"value": None}},
                       {"merge": {"value": "not base64url!"}}, {"merge": {"value": "AAAA="}},
                       {"kid": {"host": "other.vault.azure.net"}}, {"kid": {"name": "other"}},
                       {"kid": {"version": "0" * 32}}, {"oversize": 100 << 10}):
                with self.subTest(path=path, do=do):
                    self.double.clear_faults()
                    self.double.inject(do, path=path, **FOR_EVER)
                    self.assert_condition("Unexpected", job=job, profiles=["import-export"],
                                          kid=kid,
                                          httpStatus=200, requestId=True)

    def test_a_wrap_that_does_not_come_back(self):
        kid = self.double.export_key(vault=self.vault, name="cmk")["kid"]
        self.double.inject({"garbage": True}, path="/wrapkey$", **FOR_EVER)
        self.assert_condition("WrapFailed", kid=kid, httpStatus=400, vaultCode="BadParameter",
                              requestId=True)
        self.double.clear_faults()
        self.double.inject({"garbage": True}, path="/unwrapkey$", **FOR_EVER)
        self.assert_condition("WrapFailed", kid=kid)
        self.double.clear_faults()
        self.double.inject({"merge": {"value": "AAAA"}}, path="/wrapkey$", **FOR_EVER)
        self.assert_condition("Unexpected", kid=kid, httpStatus=200, requestId=True)

    def test_a_wrap_with_parameters_that_the_vault_finds_bad(self):
        self.double.inject({"error": {"status": 400, "code": "BadParameter"}}, path="/wrapkey$",
                           **FOR_EVER)
        self.assert_condition("WrapFailed", httpStatus=400, vaultCode="BadParameter",
                              requestId=True)

    def test_a_size_of_megabytes_is_not_read_to_its_end(self):
        self.double.inject({"oversize": 4 << 20}, method="GET", **FOR_EVER)
        self.assert_condition("Unexpected", profiles=["import-export"])


if __name__ == "__main__":
    harness.main()
