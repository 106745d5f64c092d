"""What tests of refusals share: a small job, and what every refusal promises."""

import harness

# How `prepare` keeps a second run away while it still checks.
LOCK = ".lock"


class Refusals(harness.Case):
    def setUp(self):
        self.tree = self.env.directory("data")
        harness.write_file(self.tree, "a.txt", b"a")
        harness.write_file(self.tree, "sub/b.txt", b"b")

    def job(self, **options):
        options.setdefault("sources", [(self.tree + "/", "archive/")])
        return self.make_job(**options)

    def assert_remedy(self, error, result):
        self.assertGreater(len(error["remedy"]), 10, result)
        self.assertGreater(len(error["message"]), 10, result)

    def refused(self, job, status, code, *mentions, commands=("plan", "prepare"), options=()):
        """Both commands refuse; the error has the code and names what it should; nothing is written."""
        before = harness.snapshot(job.root)
        for command in commands:
            extra = options if command == "prepare" else ()
            plain = self.env.run(command, job.root, *extra)
            self.assertEqual(plain.status, status, plain)
            self.assertIn("what to do:", plain.err)
            result = self.env.run(command, job.root, "--json", *extra)
            self.assertEqual(result.status, status, result)
            document = result.json()
            error = document["error"]
            self.assert_remedy(error, result)
            self.assertEqual(error["exit"], status)
            codes = {error["code"]} | {problem["code"] for problem in document.get("problems", [])}
            self.assertIn(code, codes, result)
            text = error["message"] + " ".join(
                f"{problem['subject']} {problem['detail']}" for problem in document.get("problems", []))
            for mention in mentions:
                self.assertIn(mention, text, result)
                self.assertIn(mention, plain.err, plain)
            after = harness.snapshot(job.root)
            if command != "plan":
                after.pop(LOCK, None)
                before.pop(LOCK, None)
            self.assertEqual(after, before, f"{command} wrote something")

    def code_of(self, job):
        """The code of a refusal whose name is the reader's own business."""
        code = self.env.run("plan", job.root, "--json").error()["code"]
        self.assertRegex(code, r"^[a-z]+(-[a-z0-9]+)+$")
        return code
