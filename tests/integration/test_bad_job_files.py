"""Job files that cannot be used are refused with file, line and column, and nothing is written."""

import os

import harness
from harness import DATASET_HEADER, DRIVESET_HEADER, need, need_root
from refusals import Refusals

USAGE, KEY = 2, 12


class BadJobFiles(Refusals):
    # --- dataset.csv and driveset.csv

    def dataset(self, text):
        job = self.job()
        job.write("dataset.csv", text)
        return job

    def test_unknown_column_of_the_data_set(self):
        job = self.dataset(f"{DATASET_HEADER},Colour\n{self.tree}/,archive/,BlockBlob,rename,None,None,red\n")
        self.refused(job, USAGE, self.code_of(job), "dataset.csv:1:", "Colour")

    def test_missing_column_of_the_data_set(self):
        job = self.dataset(f"BasePath,ItemType,Disposition,MetadataFile,PropertiesFile\n")
        self.refused(job, USAGE, self.code_of(job), "dataset.csv:1:", "DstItemPathOrPrefix")

    def test_unknown_and_missing_columns_of_the_drive_set(self):
        job = self.job()
        job.write("driveset.csv", DRIVESET_HEADER.replace("DriveId", "Serial") + "\n")
        self.refused(job, USAGE, self.code_of(job), "driveset.csv:1:", "Serial")
        job.write("driveset.csv", DRIVESET_HEADER.replace("Encryption,", "") + "\n")
        self.refused(job, USAGE, self.code_of(job), "driveset.csv:1:", "Encryption")

    def test_a_row_with_too_few_values(self):
        job = self.dataset(f"{DATASET_HEADER}\n{self.tree}/,archive/,BlockBlob\n")
        self.refused(job, USAGE, self.code_of(job), "dataset.csv:2:")

    def test_bad_values_of_the_data_set_are_named_with_line_and_column(self):
        row = [f"{self.tree}/", "archive/", "BlockBlob", "rename", "None", "None"]
        for column, value, code in ((2, "blob", "csv-item-type"), (3, "replace", None),
                                    (1, "/archive/", "csv-destination"), (1, "", "csv-destination"),
                                    (0, "", "csv-base-path"), (0, "C:\\data\\", "csv-windows-path"),
                                    (1, "Archive/", None), (4, "no-such-metadata.xml", None)):
            with self.subTest(column=column, value=value):
                bad = [*row[:column], value, *row[column + 1:]]
                job = self.dataset(f"# a comment\n{DATASET_HEADER}\n{','.join(bad)}\n")
                at = sum(len(field) + 1 for field in bad[:column]) + 1
                place = "no-such-metadata.xml" if column == 4 else f"dataset.csv:3:{at}:"
                self.refused(job, USAGE, code or self.code_of(job), place)

    def test_bad_values_of_the_drive_set_are_named_with_line_and_column(self):
        row = ["DISK0.img", "Format", "SilentMode", "Encrypt", "", "DISK0", "512"]
        for column, value, code in (
                (0, "", "csv-drive-letter"), (0, "X", "csv-drive-letter"),
                (1, "Formatted", "csv-format-option"), (1, "AlreadyFormatted", "csv-already-formatted"),
                (2, "Silent", "csv-prompt"), (3, "No", "csv-encryption"),
                (3, "AlreadyEncrypted", "csv-format-without-encrypt"),
                (5, "../x", "csv-drive-id"), (5, "", "csv-drive-id-missing"),
                (6, "520", "csv-sector-size")):
            with self.subTest(column=column, value=value):
                job = self.job()
                bad = [*row[:column], value, *row[column + 1:]]
                job.write("driveset.csv", f"{DRIVESET_HEADER}\n{','.join(bad)}\n")
                self.refused(job, USAGE, code, "driveset.csv:2:")

    def test_a_recovery_password_in_the_drive_set_is_refused_and_not_repeated(self):
        key = "123456-" * 7 + "123456"
        job = self.job()
        job.write("driveset.csv", f"{DRIVESET_HEADER}\nDISK0.img,Format,SilentMode,Encrypt,{key},DISK0,512\n")
        self.refused(job, USAGE, "csv-key-given", "driveset.csv:2:")
        for command in ("plan", "prepare"):
            result = self.env.run(command, job.root, "--json")
            self.assertNotIn(key, result.out + result.err)

    def test_two_drives_with_one_id_or_one_image(self):
        job = self.job()
        row = "DISK0.img,Format,SilentMode,Encrypt,,{},512\n"
        job.write("driveset.csv", f"{DRIVESET_HEADER}\n{row.format('DISK0')}{row.format('DISK1')}")
        self.refused(job, USAGE, "csv-drive-repeated", "driveset.csv:3:", "line 2")
        job.write("driveset.csv", f"{DRIVESET_HEADER}\n{row.format('DISK0')}"
                                  f"{row.format('DISK0').replace('.img', 'b.img')}")
        self.refused(job, USAGE, "csv-drive-id-repeated", "driveset.csv:3:", "DISK0")

    def test_a_quote_that_is_never_closed(self):
        job = self.dataset(f'{DATASET_HEADER}\n"{self.tree}/,archive/,BlockBlob,rename,None,None\n')
        self.refused(job, USAGE, self.code_of(job), "dataset.csv:")

    def test_no_rows(self):
        self.refused(self.dataset(DATASET_HEADER + "\n"), USAGE, "csv-no-rows", "dataset.csv")
        self.refused(self.dataset(""), USAGE, "csv-empty", "dataset.csv")

    def test_what_spreadsheets_save(self):
        row = f"{self.tree}/,archive/,BlockBlob,rename,None,None"
        for text in (f"\ufeff{DATASET_HEADER}\n{row}\n", f"{DATASET_HEADER}\r\n{row}\r\n",
                     f'{DATASET_HEADER}\n"{self.tree}/","archive/","BlockBlob","rename","None","None"\n'):
            self.run_ok("plan", self.dataset(text).root)
        job = self.dataset(f"{DATASET_HEADER}\n{row}\n".replace(",", ";"))
        self.refused(job, USAGE, "csv-unknown-column", "dataset.csv:1:1:")
        self.assertIn("commas, not semicolons", self.env.run("plan", job.root).err)
        with open(job.path("dataset.csv"), "w", encoding="utf-16") as file:
            file.write(f"{DATASET_HEADER}\n{row}\n")
        self.refused(job, USAGE, "csv-encoding", "dataset.csv:1:1:", "UTF-16")

    def test_two_drives_on_one_image_by_other_paths(self):
        row = "{},Format,SilentMode,Encrypt,,{},512\n"
        for way in ("hard link", "link to the directory", "path"):
            with self.subTest(way):
                job = self.job()
                if way == "hard link":
                    os.link(job.image(), job.path("other.img"))
                    second = "other.img"
                elif way == "path":
                    second = os.path.join("..", os.path.basename(job.root), "DISK0.img")
                else:
                    os.symlink(".", job.path("alias"))
                    second = "alias/DISK0.img"
                job.write("driveset.csv", DRIVESET_HEADER + "\n" + row.format("DISK0.img", "DISK0") +
                          row.format(second, "DISK1"))
                self.refused(job, USAGE, "csv-drive-repeated", "driveset.csv:3:", "line 2")

    # --- job.json

    def test_a_directory_in_the_place_of_a_job_file(self):
        for name in ("job.json", "dataset.csv", "driveset.csv"):
            job = self.job()
            os.remove(job.path(name))
            os.mkdir(job.path(name))
            self.refused(job, USAGE, self.code_of(job), name)

    def test_a_key_store_that_cannot_be_used_is_known_before_anything_is_written(self):
        job = self.job()
        for name, kind in (("group", "directory"), ("file", "file")):
            store = os.path.join(self.env.directory("store"), name)
            if kind == "file":
                harness.write_file(os.path.dirname(store), name, b"")
            else:
                os.mkdir(store)
                os.chmod(store, 0o770)
                harness.write_file(store, "store.json", b"{}")
            job.spec["encryption"] = {"keyStore": store}
            job.write_spec()
            self.refused(job, KEY, "key-store-unsafe", store)

    def test_a_key_store_that_somebody_else_owns(self):
        need_root()
        need("setpriv")
        job = self.job()
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chmod(self.env.root, 0o755)
        for path in (job.root, *(job.path(name) for name in os.listdir(job.root))):
            os.chown(path, 65534, 65534)
        store = self.env.directory("private")
        os.chmod(store, 0o700)
        for path in (store, os.path.join(store, "below"), os.path.join(self.env.root, "new")):
            job.spec["encryption"] = {"keyStore": path}
            job.write_spec()
            before = harness.snapshot(job.root)
            for command in ("plan", "prepare"):
                result = self.env.run(command, job.root, "--json", prefix=as_nobody)
                self.assertEqual(result.status, KEY, result)
                self.assertIn(path, result.error()["message"])
                self.assert_remedy(result.error(), result)
                self.assertEqual(harness.snapshot(job.root), before)

    def test_bad_members_of_the_job_file_are_named_by_pointer(self):
        for member, value, mention in (("locatoin", "x", "locatoin"), ("location", 7, "/location"),
                                       ("name", "a", "/name"),
                                       ("bitlocker", {"cipher": "rot13"}, "/bitlocker/cipher")):
            with self.subTest(member=member):
                job = self.job()
                job.spec[member] = value
                job.write_spec()
                self.refused(job, USAGE, self.code_of(job), "job.json", mention)

    def test_a_job_file_that_is_not_json_is_named_with_its_line(self):
        job = self.job()
        job.write("job.json", '{\n  "name": "job-a",\n  "location" "here"\n}\n')
        self.refused(job, USAGE, "json-syntax", "job.json:3")

    def test_missing_job_files_and_directories(self):
        job = self.job()
        os.remove(job.path("driveset.csv"))
        self.refused(job, USAGE, "job-file-missing", "driveset.csv")
        for command in (["plan"], ["prepare"], ["verify"], ["status"], ["request"]):
            result = self.env.run(*command, self.env.path("nowhere"), "--json")
            self.assertEqual(result.status, USAGE, result)
            self.assertEqual(result.error()["code"], "job-directory-missing", result)
            self.assertIn("nowhere", result.error()["message"])
        self.assertFalse(os.path.exists(self.env.path("nowhere")))


if __name__ == "__main__":
    harness.main()
