"""The audit trail under whoever edits, cuts off and puts back; what may be wrapped as a secret."""

import base64
import json
import os
import pty
import shutil
import socket
import sqlite3
import subprocess

import envelopes
import harness
from key_cases import KeyCase
from vault_case import KEY, USAGE

BROKEN = 7
REVERT = "KwCannotRevertToManagedKey"
JOURNAL = ("journal.db", "journal.db-wal", "journal.db-shm")


class AuditCase(KeyCase):
    def edit_journal(self, job, *statements):
        """Somebody edits journal.db, without what keeps events from being edited."""
        connection = sqlite3.connect(job.path("journal.db"))
        for (trigger,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    def audit(self, job, *arguments):
        result = self.env.run("key", "audit", job.root, "--json", *arguments)
        return result.status, result.json()

    def assert_broken(self, job, *words, arguments=()):
        """Told as one document, as text, and with the status."""
        status, document = self.audit(job, *arguments)
        self.assertEqual((status, document["chain"]), (BROKEN, "broken"), document)
        error = document["error"]
        self.assertEqual((error["code"], error["exit"]), ("audit-chain-broken", BROKEN))
        result = self.env.run("key", "audit", job.root, *arguments)
        self.assertEqual(result.status, BROKEN, result)
        for word in words:
            self.assertIn(word, error["message"])
            self.assertIn(word, result.out)
        return document

    def assert_whole(self, job, *arguments):
        status, document = self.audit(job, *arguments)
        self.assertEqual((status, document["chain"]), (0, "whole"), document)
        return document

    def keep_journal(self, job):
        kept = self.env.directory("kept")
        for name in JOURNAL:
            if os.path.exists(job.path(name)):
                shutil.copy(job.path(name), kept)
        return kept

    def put_journal_back(self, job, kept):
        for name in JOURNAL:
            if os.path.exists(job.path(name)):
                os.remove(job.path(name))
            if os.path.exists(os.path.join(kept, name)):
                shutil.copy(os.path.join(kept, name), job.root)

    def make_local(self, job, profile=None):
        encryption = job.spec["encryption"]
        for member in ("keyUrl", "identity", "vaultResourceId"):
            encryption.pop(member, None)
        if profile:
            encryption["profile"] = profile
        job.write_spec()


class BrokenChain(AuditCase):
    EDITS = {
        "changed": "UPDATE event SET details = '{}' WHERE sequence = 2",
        "another time": "UPDATE event SET time = time + 1 WHERE sequence = 2",
        "another kind": "UPDATE event SET kind = 'x' WHERE sequence = 2",
        "removed in the middle": "DELETE FROM event WHERE sequence = 2",
        "removed at the start": "DELETE FROM event WHERE sequence = 1",
        "renumbered": "UPDATE event SET sequence = sequence + 5",
        "a short hash": "UPDATE event SET hash = x'00' WHERE sequence = 2",
    }

    def test_what_was_changed_removed_or_reordered_is_told_in_one_document(self):
        job = self.secrets_job("a", "b", "c")
        kept = self.keep_journal(job)
        for what, statement in self.EDITS.items():
            with self.subTest(what):
                self.put_journal_back(job, kept)
                self.edit_journal(job, statement)
                self.assert_broken(job, "does not fit")
                self.wrap_secret(job, "d", "more", "--replace")
                self.assert_broken(job, "does not fit")

    def test_two_events_that_changed_places(self):
        job = self.secrets_job("a", "b", "c")
        self.edit_journal(job, "UPDATE event SET sequence = -1 WHERE sequence = 2",
                          "UPDATE event SET sequence = 2 WHERE sequence = 3",
                          "UPDATE event SET sequence = 3 WHERE sequence = -1")
        self.assertEqual(self.assert_broken(job, "event 2")["first_broken"], 2)

    def test_a_table_that_is_gone_is_a_broken_chain_and_no_bug(self):
        job = self.secrets_job("a")
        self.edit_journal(job, "DROP TABLE event")
        self.assert_broken(job, "no such table")

    def test_an_end_that_was_cut_off_and_what_comes_after_it(self):
        for where in ("sequence = (SELECT max(sequence) FROM event)", "sequence > 1", "1"):
            for also in ("", "audit-head.json", "event_head"):
                with self.subTest(where=where, also=also):
                    job = self.secrets_job("a", "b")
                    self.edit_journal(job, f"DELETE FROM event WHERE {where}",
                                      *(["DROP TABLE event_head"] if also == "event_head" else []))
                    if also.endswith(".json"):
                        os.remove(job.path(also))
                    self.assert_broken(job, "cut off")
                    self.wrap_secret(job, "c")
                    self.wrap_secret(job, "d")
                    self.wrap_secret(job, "e")
                    self.assert_broken(job, "cut off")

    def test_an_older_journal_that_was_put_back(self):
        job = self.secrets_job("a")
        kept = self.keep_journal(job)
        self.wrap_secret(job, "b")
        self.put_journal_back(job, kept)
        self.assert_broken(job, "an older journal was put back")
        self.wrap_secret(job, "c")
        self.assert_broken(job, "an older journal was put back")

    def test_a_journal_that_is_gone_or_empty_beside_a_state(self):
        job = self.secrets_job("a")
        os.remove(job.path("audit-head.json"))
        self.edit_journal(job, "DELETE FROM event", "DROP TABLE event_head")
        self.assert_broken(job, "cut off")
        for name in JOURNAL:
            if os.path.exists(job.path(name)):
                os.remove(job.path(name))
        self.assert_broken(job, "journal.db is gone")
        os.remove(job.path("key-state.json"))
        self.refused("journal-missing", "key", "audit", job.root, status=USAGE)

    def test_an_empty_trail_beside_a_drive(self):
        job = self.make_job(sources=[(self.env.directory("empty") + "/", "archive/")],
                            make_images=False)
        self.wrap_secret(job)
        self.edit_journal(
            job, "DELETE FROM event", "DROP TABLE event_head",
            "INSERT INTO drive VALUES (1, 'D', '/d', 'writing', '', 0, 0, 0, 0)",
            "INSERT INTO volume VALUES ('D', zeroblob(16), zeroblob(16), 0, 0, '', 0, 0, 0, 0, 0, "
            "0, zeroblob(16), zeroblob(16), 0, '')")
        os.remove(job.path("audit-head.json"))
        self.assert_broken(job, "cut off")

    def test_a_file_of_the_head_that_was_edited(self):
        job = self.secrets_job("a")
        for text in ("", "{}", "[1]"):
            with open(job.path("audit-head.json"), "w", encoding="ascii") as file:
                file.write(text)
            self.assert_broken(job, "audit-head.json")


class WholeChain(AuditCase):
    def test_a_head_kept_elsewhere_stays_in_the_chain_as_it_grows(self):
        job = self.secrets_job("a")
        head = self.assert_whole(job)["head"]
        self.wrap_secret(job, "b")
        self.assert_whole(job, "--head", head)
        self.assert_whole(job, "--head", head.upper())
        later = self.assert_whole(job)["head"]
        self.edit_journal(job, "DELETE FROM event WHERE sequence = (SELECT max(sequence) FROM event)",
                          "DROP TABLE event_head")
        os.remove(job.path("audit-head.json"))
        self.assertIn("not_proven", self.assert_whole(job))
        self.assert_broken(job, "kept elsewhere", arguments=("--head", later))
        self.refused("audit-head", "key", "audit", job.root, "--head", "12", status=USAGE)

    def test_of_an_old_job_directory_it_is_told_what_is_not_proven(self):
        job = self.secrets_job("a")
        self.edit_journal(job, "DROP TABLE event_head")
        os.remove(job.path("audit-head.json"))
        self.assertIn("not proven", self.assert_whole(job)["not_proven"])
        self.wrap_secret(job, "b")
        self.assertNotIn("not_proven", self.assert_whole(job))

    def test_a_run_that_dies_before_the_head_is_written_raises_no_alarm(self):
        job = self.secrets_job("a")
        with open(job.path("audit-head.json"), "rb") as file:
            before = file.read()
        self.wrap_secret(job, "b")
        with open(job.path("audit-head.json"), "wb") as file:
            file.write(before)
        self.assertNotIn("not_proven", self.assert_whole(job))
        self.wrap_secret(job, "c")
        self.assert_whole(job)

    def test_looking_leaves_no_trace(self):
        job = self.secrets_job("a")
        before = harness.snapshot(job.root)
        self.assertEqual([name for name in os.listdir(job.root) if name.startswith("journal")],
                         ["journal.db"])
        for command in (["key", "check"], ["key", "status"], ["key", "audit"]):
            with self.subTest(command):
                self.run_ok(*command, job.root)
                self.assertEqual(harness.snapshot(job.root), before)


class OneWay(AuditCase):
    def stays(self, job):
        local = ["key", "set", job.root, "--local"]
        self.refused(REVERT, *local)
        self.refused(REVERT, "key", "wrap-secret", job.root, "--name", "new", given=b"x")

    def test_a_journal_that_names_another_service_by_now(self):
        job = self.secrets_job("a")
        self.edit_journal(job, "UPDATE event SET details = "
                               "replace(details, 'import-export', 'data-box')")
        self.make_local(job, "data-box")
        self.edit_state(job, lambda state: state.update(profile="data-box"))
        self.stays(job)

    def no_trace_but_the_journal(self, job):
        os.remove(job.path("key-state.json"))
        envelopes.remove_all(job)
        self.make_local(job, "data-box")

    def test_a_journal_without_the_event(self):
        for statement in ("UPDATE event SET kind = 'x' WHERE kind = 'key-adopted'",
                          "DELETE FROM event WHERE kind = 'key-adopted'", "DELETE FROM event",
                          "DROP TABLE event"):
            for head in (True, False):
                with self.subTest(statement=statement, head=head):
                    job = self.secrets_job("a")
                    self.edit_journal(job, statement)
                    self.no_trace_but_the_journal(job)
                    if not head:
                        os.remove(job.path("audit-head.json"))
                    if statement.startswith("DROP"):  # nothing can be recorded any more
                        result = self.env.run("key", "set", job.root, "--local")
                        self.assertNotEqual(result.status, 0, result)
                    else:
                        self.stays(job)

    def test_a_journal_from_before_the_key_and_none_at_all(self):
        job = self.quick_job()
        self.env.run("key", "unwrap-secret", job.root, "--name", "none")  # makes a journal
        kept = self.keep_journal(job)
        self.wrap_secret(job, "a")
        self.put_journal_back(job, kept)
        self.no_trace_but_the_journal(job)
        self.stays(job)
        for name in JOURNAL:
            if os.path.exists(job.path(name)):
                os.remove(job.path(name))
        self.stays(job)

    def test_a_job_that_used_the_local_key_only_begins_anew_without_its_journal(self):
        job = self.make_job(sources=[(self.env.directory("empty") + "/", "archive/")],
                            make_images=False)
        self.wrap_secret(job, "a")
        for name in JOURNAL:
            if os.path.exists(job.path(name)):
                os.remove(job.path(name))
        self.wrap_secret(job, "b")

    def test_where_the_service_allows_it_a_whole_journal_still_lets_a_job_go_back(self):
        job = self.secrets_job("a", profile="data-box")
        self.run_ok("key", "set", job.root, "--local")
        self.assert_whole(job)


class Secrets(AuditCase):
    def raw(self, job, name, *arguments):
        """The bytes that unwrap-secret writes."""
        process = self.env.start("key", "unwrap-secret", job.root, "--name", name, *arguments)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        return out

    def test_bytes_come_back_as_they_were(self):
        job = self.quick_job()
        values = [b"x", b"open sesame\n", b"a\r\n", b"two\nlines\n\n", b"tab\there", b"\0", b"\xff\xfe",
                  bytes(range(256)), os.urandom(16384), b"\n" * 16384, b"x" * 16384]
        for number, value in enumerate(values):
            with self.subTest(value=value[:20]):
                name = f"s{number}"
                self.run_ok("key", "wrap-secret", job.root, "--name", name, given=value)
                self.assertEqual(self.raw(job, name), value)
                document = json.loads(self.raw(job, name, "--json"))
                self.assertEqual(len({"value", "value_base64"} & set(document)), 1)
                told = (document["value"].encode() if "value" in document
                        else base64.b64decode(document["value_base64"], validate=True))
                self.assertEqual(told, value)

    def test_text_can_be_read_by_any_opener_and_bytes_say_how_they_are_written(self):
        job = self.quick_job()
        opener = envelopes.Opener(self.double.export_key(vault=self.vault, name="cmk")["pem"])
        for value, member in ((b"line\n", {"value": "line\n"}),
                              (b"\0\xff", {"value": "AP8", "encoding": "base64url"})):
            self.run_ok("key", "wrap-secret", job.root, "--name", "s", "--replace", given=value)
            with open(job.path("secrets", "s.jwe.json"), encoding="ascii") as file:
                payload = opener.open(file.read(), self.newest())
            self.assertEqual({name: payload[name] for name in payload
                              if name in ("value", "encoding")}, member)

    def test_a_device_unlock_key_stays_one_line_of_text(self):
        job = self.quick_job()
        wrap = ["key", "wrap-secret", job.root, "--name", "box", "--replace", "--purpose",
                "device-unlock-key"]
        for given in (b"unlock me", b"unlock me\n", b"unlock me\r\n"):
            self.run_ok(*wrap, given=given)
            self.assertEqual(self.raw(job, "box"), b"unlock me")
        for bad in (b"", b"\n", b"two\nlines", b"\xff", b"x" * 1025):
            self.refused("envelope-value-invalid", *wrap, given=bad, status=KEY)

    def test_too_much_and_nothing(self):
        job = self.quick_job()
        wrap = ["key", "wrap-secret", job.root, "--name", "s"]
        for bad, word in ((b"", "empty"), (b"x" * 16385, "16384")):
            self.assertIn(word, self.refused("envelope-value-invalid", *wrap, given=bad,
                                             status=KEY)["message"])

    def test_descriptors_of_any_kind(self):
        job = self.quick_job()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"by socket\n")
            ours.shutdown(socket.SHUT_WR)
            self.run_ok("key", "wrap-secret", job.root, "--name", "socket", stdin=theirs)
        self.assertEqual(self.raw(job, "socket"), b"by socket\n")
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        process = self.env.start("key", "wrap-secret", job.root, "--name", "pipe", "--fd",
                                 str(reading), pass_fds=[reading])
        for part in (b"in ", b"parts"):
            os.write(writing, part)
        os.close(writing)
        self.assertEqual(self.env.wait(process).status, 0)
        os.close(reading)
        self.assertEqual(self.raw(job, "pipe"), b"in parts")

    def test_descriptors_that_cannot_be_read(self):
        job = self.secrets_job("a")
        for descriptor in range(3, 12):  # the first ones are those that the program takes next
            error = self.refused("secret-descriptor", "key", "wrap-secret", job.root, "--name", "s",
                                 "--fd", str(descriptor), status=USAGE)
            self.assertIn(f"file descriptor {descriptor}", error["message"])
            self.assertIn(f"{descriptor}<", error["remedy"])
        with open(os.devnull, "wb") as null:
            self.refused("secret-descriptor", "key", "wrap-secret", job.root, "--name", "s",
                         stdin=null, status=USAGE)
        directory = os.open(self.env.root, os.O_RDONLY)
        try:
            error = self.refused("secret-descriptor", "key", "wrap-secret", job.root, "--name", "s",
                                 stdin=directory, status=USAGE)
            self.assertIn("standard input", error["message"])
        finally:
            os.close(directory)

    def test_a_terminal_gets_a_line_end(self):
        job = self.quick_job()
        for value, shown in ((b"no end", b"no end\r\n"), (b"an end\n", b"an end\r\n")):
            self.run_ok("key", "wrap-secret", job.root, "--name", "s", "--replace", given=value)
            leader, follower = pty.openpty()
            process = self.env.start("key", "unwrap-secret", job.root, "--name", "s",
                                     stdout=follower, stderr=subprocess.DEVNULL)
            self.assertEqual(self.env.wait(process).status, 0)
            self.assertEqual(os.read(leader, 100), shown)
            os.close(leader)
            os.close(follower)


if __name__ == "__main__":
    harness.main()
