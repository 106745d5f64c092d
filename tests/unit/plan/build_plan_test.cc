#include <catch2/catch.hpp>
#include <algorithm>
#include <set>

#include "base/unique_fd.h"
#include "tests/unit/plan/plan_fixture.h"

using namespace driveprep;
using namespace driveprep::plan_test;

TEST_CASE("a directory goes below the session with its whole tree, and to the blob of its path") {
  Fixture fixture;
  const fs::path readme = fixture.file("readme.txt", 14);
  fixture.file("2023/a.bin", 3 * kMiB);
  fixture.file("2023/deep/b.txt", 0);
  const timespec times[2] = {{1'600'000'000, 100}, {1'500'000'000, 123'456'700}};
  REQUIRE(::utimensat(AT_FDCWD, readme.c_str(), times, 0) == 0);
  fixture.row(fixture.source().string() + "/", "pictures/old/");

  const auto store = fixture.plan();
  const auto files = items(store);
  REQUIRE(files.size() == 3);
  CHECK(files[0].blob_path == "pictures/old/readme.txt");
  CHECK(files[0].file_path == "\\trial\\pictures\\old\\readme.txt");
  CHECK(files[0].ntfs_name == u"readme.txt");
  CHECK(files[0].source_path == readme);
  CHECK(files[0].size == 14);
  CHECK(files[0].times.modified == FileTime::from_timespec(times[1]));
  CHECK(files[0].times.accessed == FileTime::from_timespec(times[0]));
  CHECK(files[1].blob_path == "pictures/old/2023/a.bin");
  CHECK(files[2].blob_path == "pictures/old/2023/deep/b.txt");
  for (std::size_t i = 0; i < files.size(); ++i) CHECK(files[i].number == i);
  CHECK(store.total_files() == 3);
  CHECK(store.total_bytes() == 14 + 3 * kMiB);
  CHECK(store.directory_path(files[2].directory_id) == "\\trial\\pictures\\old\\2023\\deep");

  const auto directory = store.directory(files[0].directory_id);
  CHECK(directory.ntfs_name == u"old");
  CHECK(directory.times.has_value());
  const auto container = store.directory(directory.parent.value());
  CHECK(container.ntfs_name == u"pictures");
  CHECK_FALSE(container.times.has_value());
  CHECK_FALSE(store.directory(container.parent.value()).parent.has_value());
}

TEST_CASE("small files of a directory come before its large ones, parents before children") {
  Fixture fixture;
  fixture.file("a-large", 2 * kMiB);
  fixture.file("z-small", 1);
  fixture.file("sub/m", 1);
  fixture.file("b-small", kMiB - 1);
  fixture.row(fixture.source().string() + "/", "con/");
  std::vector<std::string> order;
  const auto store = fixture.plan();
  for (const auto& item : items(store)) order.push_back(item.blob_path);
  CHECK(order == std::vector<std::string>{"con/b-small", "con/z-small", "con/a-large", "con/sub/m"});

  std::set<std::int64_t> seen;
  auto directories = store.directories(0);
  plan::Directory directory;
  while (directories.next(directory)) {
    CHECK((!directory.parent || seen.contains(*directory.parent)));
    seen.insert(directory.id);
  }
  CHECK(seen.size() == 3);
}

TEST_CASE("a cursor begins where it is told") {
  Fixture fixture;
  for (int i = 0; i < 10; ++i) fixture.file("f" + std::to_string(i));
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = fixture.plan();
  auto cursor = store.files(0, 7);
  plan::FileItem item;
  REQUIRE(cursor.next(item));
  CHECK(item.number == 7);
  CHECK(item.blob_path == "data/f7");
  CHECK(item.source_path == fixture.source() / "f7");
}

TEST_CASE("a single file takes the name of its destination") {
  Fixture fixture;
  const fs::path disk = fixture.file("disk.vhd", 1024);
  fixture.row(disk.string(), "vhds/2024/one.vhd", "PageBlob,overwrite,None,None");
  const auto store = fixture.plan();
  const auto files = items(store);
  REQUIRE(files.size() == 1);
  CHECK(files[0].blob_path == "vhds/2024/one.vhd");
  CHECK(files[0].source_path == disk);
  CHECK(files[0].type == job::ItemType::kPageBlob);
  CHECK(files[0].disposition == job::Disposition::kOverwrite);
}

TEST_CASE("empty directories are kept on the first drive with files") {
  Fixture fixture;
  fixture.file("file");
  fs::create_directories(fixture.source() / "empty" / "inner");
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = fixture.plan();
  std::set<std::string> paths;
  auto directories = store.directories(0);
  plan::Directory directory;
  while (directories.next(directory)) paths.insert(store.directory_path(directory.id));
  CHECK(paths == std::set<std::string>{"\\trial", "\\trial\\data", "\\trial\\data\\empty",
                                       "\\trial\\data\\empty\\inner"});
  CHECK(store.drives()[0].directories == 4);
}

TEST_CASE("metadata and properties files lie in the session directory of the drives that need them") {
  Fixture fixture;
  fixture.file("file");
  std::ofstream(fixture.job_root() / "m.xml") << "<Metadata><a>b</a></Metadata>";
  fixture.row(fixture.source().string() + "/", "data/", "BlockBlob,rename,m.xml,None");
  const auto store = fixture.plan();
  const auto attachments = store.attachments(0);
  REQUIRE(attachments.size() == 1);
  CHECK(attachments[0].file_path == "\\trial\\metadata-1.xml");
  CHECK(attachments[0].ntfs_name == u"metadata-1.xml");
  CHECK(attachments[0].content == "<Metadata><a>b</a></Metadata>");
  CHECK(store.directory_path(attachments[0].directory_id) == "\\trial");
}

TEST_CASE("names that NTFS cannot hold get substitutes, and their blobs keep the true names") {
  Fixture fixture;
  for (const char* name : {"a:b.txt", "what?", "trailing ", "dot.", "nul.txt", "Case.txt",
                           "case.txt", "CASE.txt", "star*dir/inside"}) {
    fixture.file(name);
  }
  fixture.row(fixture.source().string() + "/", "con/");  // a container with a device name, too
  const auto store = fixture.plan();
  std::set<std::string> blobs;
  std::set<std::u16string> folded;
  for (const auto& item : items(store)) {
    blobs.insert(item.blob_path);
    CHECK(item.file_path.find_first_of(":?*") == std::string::npos);
    CHECK(item.file_path.starts_with("\\trial\\con~"));
    CHECK(fs::exists(item.source_path));
  }
  CHECK(blobs == std::set<std::string>{"con/a:b.txt", "con/what?", "con/trailing ", "con/dot.",
                                       "con/nul.txt", "con/Case.txt", "con/case.txt",
                                       "con/CASE.txt", "con/star*dir/inside"});
  // Five names, one directory, the container, and two of the three that differ in case.
  CHECK(count_of(store, "substitute-name") == 9);
  CHECK(count_of(store, "blob-name-dot") == 1);
  const auto refused = error_of([&] { fixture.plan(kGiB, R"({"illegalNames": "refuse"})"); });
  CHECK(refused.code() == "ntfs-name");
}

TEST_CASE("directories that differ only in case, and a file named like one, get substitutes") {
  Fixture fixture;
  const fs::path other = fixture.root() / "other";
  fs::create_directories(other);
  std::ofstream(other / "dir").put('x');
  fixture.file("Dir/one");
  fixture.file("dir/two");
  fixture.row(fixture.source().string() + "/", "data/").row(other.string() + "/", "data/");
  std::set<std::string> paths;
  const auto store = fixture.plan();
  for (const auto& item : items(store)) {
    CHECK(item.file_path.starts_with("\\trial\\data\\"));
    paths.insert(item.blob_path);
  }
  CHECK(paths == std::set<std::string>{"data/Dir/one", "data/dir/two", "data/dir"});
  CHECK(count_of(store, "substitute-name") == 2);
}

TEST_CASE("destinations of two rows that differ only in case get different places on the drive") {
  Fixture fixture;
  fixture.file("one/f");
  fixture.file("two/f");
  fixture.row((fixture.source() / "one/").string(), "data/Prefix/");
  fixture.row((fixture.source() / "two/").string(), "data/prefix/");
  const auto files = items(fixture.plan());
  REQUIRE(files.size() == 2);
  CHECK(files[0].blob_path == "data/Prefix/f");
  CHECK(files[1].blob_path == "data/prefix/f");
  CHECK(files[0].file_path == "\\trial\\data\\Prefix\\f");
  CHECK(files[1].file_path.starts_with("\\trial\\data\\prefix~"));
}

TEST_CASE("files that this user may not read follow the policy of the job", "[root]") {
  if (::geteuid() != 0) {
    WARN("skipped: becoming another user needs root");
    return;
  }
  Fixture fixture;
  fixture.file("open");
  fs::permissions(fixture.file("closed"), fs::perms(0600));
  fixture.row(fixture.source().string() + "/", "data/");
  fs::permissions(fixture.root(), fs::perms(0755));
  const auto as_other = [&](const std::string& policy, auto use) {
    REQUIRE(::seteuid(65534) == 0);
    const auto error = error_of([&] { use(fixture.plan(kGiB, policy)); });
    REQUIRE(::seteuid(0) == 0);
    return error.code();
  };
  const auto ignore = [](const plan::PlanStore&) {};
  CHECK(as_other("{}", [](const plan::PlanStore& store) {
          CHECK(store.total_files() == 2);
          CHECK(count_of(store, "unreadable") == 1);
        }) == "none");
  CHECK(as_other(R"({"unreadable": "skip"})", [](const plan::PlanStore& store) {
          CHECK(store.total_files() == 1);
          CHECK(count_of(store, "skipped-unreadable") == 1);
        }) == "none");
  CHECK(as_other(R"({"unreadable": "refuse"})", ignore) == "source-unreadable");
  fs::create_directory(fixture.source() / "locked");
  fs::permissions(fixture.source() / "locked", fs::perms(0700));
  CHECK(as_other("{}", ignore) == "source-unreadable");
}

TEST_CASE("a hundred thousand files of one directory are planned in their order, every one") {
  // More than are sorted in memory at once.
  Fixture fixture;
  for (int i = 0; i < 100'100; ++i) {
    const std::string name = (fixture.source() / std::to_string(i)).string();
    const UniqueFd fd(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    REQUIRE(fd.valid());
  }
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = fixture.plan();
  CHECK(store.total_files() == 100'100);
  auto cursor = store.files(0);
  plan::FileItem item;
  std::string last;
  bool ascending = true;
  while (cursor.next(item)) {
    ascending = ascending && last < item.blob_path;
    last = item.blob_path;
  }
  CHECK(ascending);
}

TEST_CASE("all names that the blob service refuses are listed, not only the first") {
  Fixture fixture;
  fixture.file("good");
  fixture.file("back\\slash");
  fixture.file("tab\there");
  fixture.file("latin\xE4");
  const auto make = [&] {
    fixture.row(fixture.source().string() + "/", "data/");
    fixture.plan();
  };
  try {
    make();
    FAIL("nothing was thrown");
  } catch (const plan::PlanRefused& refused) {
    CHECK(refused.code() == "blob-name");
    CHECK(refused.kind() == ErrorKind::kUsage);
    CHECK(refused.total() == 3);
    const std::string text = refused.what();
    CHECK(text.find("back\\slash") != std::string::npos);
    CHECK(text.find("tab\\x09here") != std::string::npos);
    CHECK(text.find("latin\\xE4") != std::string::npos);
    CHECK(text.find('\t') == std::string::npos);
  }
}

TEST_CASE("no more than a hundred problems are listed, and all are counted") {
  Fixture fixture;
  for (int i = 0; i < 120; ++i) fixture.file("bad\\" + std::to_string(i));
  fixture.row(fixture.source().string() + "/", "data/");
  try {
    fixture.plan();
    FAIL("nothing was thrown");
  } catch (const plan::PlanRefused& refused) {
    CHECK(refused.problems().size() == 100);
    CHECK(refused.total() == 120);
    CHECK(std::string(refused.what()).find("and 20 more") != std::string::npos);
  }
}

TEST_CASE("two sources with one destination are refused, naming both") {
  Fixture fixture;
  const fs::path one = fixture.file("one/f");
  const fs::path two = fixture.file("two/f");
  fixture.row((fixture.source() / "one/").string(), "data/p/");
  fixture.row(two.string(), "data/p/f");
  const auto error = error_of([&] { fixture.plan(); });
  CHECK(error.code() == "destination-conflict");
  CHECK(std::string(error.what()).find(one.string()) != std::string::npos);
  CHECK(std::string(error.what()).find(two.string()) != std::string::npos);
  CHECK_THAT(error.what(), Catch::Contains("dataset.csv:2: " + one.string()) &&
                               Catch::Contains("dataset.csv:3: " + two.string()));
}

TEST_CASE("findings about a blob name it with its container") {
  Fixture fixture;
  fixture.file(std::string(150, 'd') + "/" + std::string(150, 'f'));
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = fixture.plan();
  REQUIRE(count_of(store, "long-path") == 1);
  CHECK(store.findings(1)[0].subject.starts_with("data/ddd"));
}

TEST_CASE("what there is to write down about the files of a drive") {
  Fixture fixture;
  fixture.file("d/a", 10);
  fixture.file("d/b?", 9 * kMiB);
  fixture.row(fixture.source().string() + "/", "data/");
  const auto store = fixture.plan();
  std::uint64_t paths = 0;
  auto cursor = store.files(0);
  for (plan::FileItem item; cursor.next(item);) paths += item.blob_path.size() + item.file_path.size();
  const plan::PlanTexts texts = store.texts(0);
  CHECK(texts.files == 2);
  CHECK(texts.pieces == 1 + 3);
  CHECK(texts.name_bytes == 3);
  CHECK(texts.path_bytes >= paths);
  CHECK(texts.path_bytes <= paths + 40);
}

TEST_CASE("a missing source is named with its line, and nothing is written") {
  Fixture fixture;
  fixture.file("f");
  fixture.row(fixture.source().string() + "/", "data/").row("/no/such/place/", "data/x/");
  const fs::path database = fixture.job_root() / "plan.db";
  const auto error = error_of(
      [&] { plan::build_plan(fixture.job(), {fixture.drive("D0", kGiB)}, database); });
  CHECK(error.code() == "source-missing");
  CHECK(error.kind() == ErrorKind::kSource);
  CHECK(std::string(error.what()).find("dataset.csv:3") != std::string::npos);
  CHECK(fs::is_empty(fixture.job_root()));
}

TEST_CASE("a BasePath of the wrong kind is refused") {
  Fixture fixture;
  const fs::path file = fixture.file("f");
  SECTION("a file with a slash") { fixture.row(file.string() + "/", "data/"); }
  SECTION("a directory without") { fixture.row(fixture.source().string(), "data/blob"); }
  SECTION("a device") { fixture.row("/dev/null", "data/blob"); }
  CHECK(error_of([&] { fixture.plan(); }).code() == "source-kind");
}

TEST_CASE("a source that holds the job directory, one of its drives or its outputs is refused") {
  Fixture fixture;
  fixture.file("f");
  SECTION("the job directory") { fixture.row(fixture.root().string() + "/", "data/"); }
  SECTION("its outputs") {
    fs::create_directories(fixture.job_root() / "drives");
    fixture.row((fixture.job_root() / "drives/").string(), "data/");
  }
  SECTION("an image as a file") {
    std::ofstream(fixture.job_root() / "D0.img").put('x');
    fixture.row((fixture.job_root() / "D0.img").string(), "data/image");
  }
  SECTION("an image in a directory") {
    std::ofstream(fixture.job_root() / "D0.img").put('x');
    fs::create_hard_link(fixture.job_root() / "D0.img", fixture.source() / "link.img");
    fixture.row(fixture.source().string() + "/", "data/");
  }
  CHECK(error_of([&] { fixture.plan(); }).code() == "source-holds-target");
}

TEST_CASE("the key store of the job is never planned as files") {
  Fixture fixture;
  const auto store_file = [&](const std::string& name) {
    fs::create_directories((fixture.key_store() / name).parent_path());
    std::ofstream(fixture.key_store() / name).put('x');
    return fixture.key_store() / name;
  };
  fixture.file("f");
  fixture.row(fixture.source().string() + "/", "data/");
  job::Job job = fixture.job();
  SECTION("in a source") {
    job.spec.encryption.key_store = fixture.file("a/keys/unlock").parent_path();
  }
  SECTION("as a source, or below one of its directories") {
    store_file("keys/driveprep/1.pem");
    fixture.row((fixture.key_store() / "keys/").string(), "data/");
    job = fixture.job();
  }
  SECTION("one of its files") {
    fixture.row(store_file("unlock").string(), "data/unlock");
    job = fixture.job();
  }
  SECTION("under another name") {
    fs::create_hard_link(store_file("unlock"), fixture.source() / "innocent");
  }
  SECTION("that will be made in a source") {
    job.spec.encryption.key_store = fixture.source() / ".local/share/driveprep/keystore";
  }
  SECTION("that will be made in a directory of a source") {
    fixture.file(".local/share/f");
    job.spec.encryption.key_store = fixture.source() / ".local/share/driveprep/keystore";
  }
  SECTION("that will be made behind a link into a source") {
    fs::create_directory_symlink(fixture.source(), fixture.root() / "elsewhere");
    job.spec.encryption.key_store = fixture.root() / "elsewhere/keystore";
  }
  const Error error =
      error_of([&] { plan::build_plan(job, {fixture.drive("D0", kGiB)}, {}); });
  CHECK(error.code() == "source-holds-secret");
  CHECK(error.kind() == ErrorKind::kUsage);
  CHECK_THAT(error.what(), Catch::Contains(job.spec.encryption.key_store.string()));
  CHECK_THAT(error.remedy(), Catch::Contains("encryption/keyStore"));
}

TEST_CASE("a key store beside a source is none of its business") {
  Fixture fixture;
  fixture.file("f");
  fs::create_directories(fixture.key_store());
  fixture.row(fixture.source().string() + "/", "data/");
  CHECK(fixture.plan().total_files() == 1);
  job::Job job = fixture.job();
  job.spec.encryption.key_store = fixture.root() / "source-not/keystore";
  CHECK(plan::build_plan(job, {fixture.drive("D0", kGiB)}, {}).total_files() == 1);
}

TEST_CASE("the password file of the job is never planned as a file") {
  Fixture fixture;
  fixture.file("f");
  const fs::path password = fixture.file("deep/password");
  fixture.row(fixture.source().string() + "/", "data/");
  const job::Job job = fixture.job("{}", "{\"passwordFile\": \"" + password.string() + "\"}");
  const Error error =
      error_of([&] { plan::build_plan(job, {fixture.drive("D0", kGiB)}, {}); });
  CHECK(error.code() == "source-holds-secret");
  CHECK_THAT(error.what(), Catch::Contains(password.string()));
}

TEST_CASE("what a drive leaves beside the job is not planned, though the row begins inside it") {
  Fixture fixture;
  fixture.file("f");
  fs::create_directories(fixture.job_root() / "drives/D0");
  std::ofstream(fixture.job_root() / "drives/D0/key.BEK").put('x');
  fixture.row((fixture.job_root() / "drives/D0/").string(), "data/");
  CHECK(error_of([&] { fixture.plan(); }).code() == "source-holds-target");
}

TEST_CASE("Azure Files rows are refused with the reason") {
  Fixture fixture;
  fixture.file("f");
  fixture.row(fixture.source().string() + "/", "share/", "file,rename,None,None");
  CHECK(error_of([&] { fixture.plan(); }).code() == "azure-files-unsupported");
}

TEST_CASE("page blobs need a length that is a multiple of 512") {
  Fixture fixture;
  fixture.file("a.vhd", 513);
  fixture.row(fixture.source().string() + "/", "vhds/", "PageBlob,rename,None,None");
  CHECK(error_of([&] { fixture.plan(); }).code() == "page-blob-length");
}

TEST_CASE("files beyond the service's limits are refused, very large ones are reported") {
  Fixture fixture;
  SECTION("a block blob above 5 000 000 MB") {
    fixture.file("huge", 5'000'000 * kMiB + 1);
    fixture.row(fixture.source().string() + "/", "data/");
    CHECK(error_of([&] { fixture.plan(16 * kTiB); }).code() == "file-too-large");
  }
  SECTION("a block blob that needs larger blocks") {
    fixture.file("big", 300 * kGiB);
    fixture.row(fixture.source().string() + "/", "data/");
    CHECK(count_of(fixture.plan(kTiB), "block-size") == 1);
  }
  SECTION("a page blob above 4 TiB") {
    fixture.file("big.vhd", 5 * kTiB);
    fixture.row(fixture.source().string() + "/", "data/", "PageBlob,rename,None,None");
    CHECK(count_of(fixture.plan(16 * kTiB), "large-file") == 1);
  }
}

TEST_CASE("links follow the policy of the job") {
  Fixture fixture;
  const fs::path outside = fixture.root() / "outside";
  fs::create_directories(outside / "dir");
  std::ofstream(outside / "dir" / "inner") << "inner";
  std::ofstream(outside / "file") << "twelve bytes";
  fixture.file("plain");
  fs::create_symlink(outside / "file", fixture.source() / "to-file");
  fs::create_directory_symlink(outside / "dir", fixture.source() / "to-dir");
  fixture.row(fixture.source().string() + "/", "data/");

  const auto refused = error_of([&] { fixture.plan(); });
  CHECK(refused.code() == "source-symlink");
  CHECK(std::string(refused.what()).find("2 things") != std::string::npos);

  const auto skipped = fixture.plan(kGiB, R"({"symlinks": "skip"})");
  CHECK(skipped.total_files() == 1);
  CHECK(count_of(skipped, "skipped-symlink") == 2);

  const auto followed = fixture.plan(kGiB, R"({"symlinks": "follow"})");
  CHECK(followed.total_files() == 3);
  CHECK(followed.total_bytes() == 10 + 12 + 5);

  fs::create_directory_symlink(fixture.source(), fixture.source() / "loop");
  CHECK(error_of([&] { fixture.plan(kGiB, R"({"symlinks": "follow"})"); }).code() == "source-loop");
}

TEST_CASE("FIFOs and sockets follow the policy of the job") {
  Fixture fixture;
  fixture.file("plain");
  REQUIRE(::mkfifo((fixture.source() / "pipe").c_str(), 0600) == 0);
  fixture.row(fixture.source().string() + "/", "data/");
  CHECK(error_of([&] { fixture.plan(); }).code() == "source-special");
  CHECK(count_of(fixture.plan(kGiB, R"({"specials": "skip"})"), "skipped-special") == 1);
}

TEST_CASE("the root container takes files, leaves out sub-directories and says so") {
  Fixture fixture;
  fixture.file("logo.bmp");
  fixture.file("sub/inner");
  fixture.row(fixture.source().string() + "/", "$root/");
  const auto store = fixture.plan();
  REQUIRE(store.total_files() == 1);
  CHECK(items(store)[0].blob_path == "$root/logo.bmp");
  CHECK(items(store)[0].file_path == "\\trial\\$root\\logo.bmp");
  CHECK(count_of(store, "root-subdirectory") == 1);
}

TEST_CASE("sources without a file are refused") {
  Fixture fixture;
  fixture.row(fixture.source().string() + "/", "data/");
  CHECK(error_of([&] { fixture.plan(); }).code() == "nothing-to-ship");
}

TEST_CASE("long paths are planned and reported") {
  Fixture fixture;
  fixture.file(std::string(200, 'a') + "/" + std::string(200, 'b'));
  fixture.row(fixture.source().string() + "/", "data/");
  CHECK(count_of(fixture.plan(), "long-path") == 1);
}

TEST_CASE("a file whose path the copy could not open is a problem of the plan") {
  Fixture fixture;
  fs::path base = fixture.root();
  for (int i = 0; i < 5; ++i) base /= std::string(250, 'b');
  fs::create_directories(base);
  const fs::path link = fixture.root() / "link";
  fs::create_directory_symlink(base, link);
  std::string component;
  for (int i = 0; i < 80; ++i) component += "\u65e5";
  fs::path below;
  for (int i = 0; i < 12; ++i) below /= component;
  fs::create_directories(link / below);
  std::ofstream(link / below / "f").put('x');

  const std::string follow = R"({"symlinks": "follow"})";
  SECTION("by its own path, when links are to be followed") {
    fixture.row(base.string() + "/", "data/");
    const Error error = error_of([&] { fixture.plan(kGiB, follow); });
    CHECK(error.code() == "source-path-long");
    CHECK_THAT(error.what(), Catch::Contains("more than 4095"));
  }
  SECTION("as the remedy says") {
    fixture.row(link.string() + "/", "data/");
    const auto store = fixture.plan(kGiB, follow);
    REQUIRE(store.total_files() == 1);
    CHECK(::access(items(store)[0].source_path.c_str(), R_OK) == 0);
  }
  SECTION("but not when it is opened from its base path") {
    fixture.row(base.string() + "/", "data/");
    CHECK(fixture.plan().total_files() == 1);
  }
}

TEST_CASE("a path is as long as Windows counts it, not as its bytes") {
  Fixture fixture;
  const auto repeated = [](const std::string& text, std::size_t times) {
    std::string result;
    while (times-- > 0) result += text;
    return result;
  };
  const auto longest = std::string("\\trial\\data\\").size();
  const auto unit = GENERATE(as<std::string>(), "a", "\u00e9", "\u65e5");
  // Two components: none of them may have more than 255 bytes on most file systems.
  std::string name = repeated(unit, 80) + "/" + repeated(unit, 80) + "/";
  name += repeated("x", 256 - longest - 162);
  fixture.row(fixture.file(name).string(), "data/" + name);
  CHECK(count_of(fixture.plan(), "long-path") == 0);
  fixture.row(fixture.file(name + "y").string(), "data/" + name + "y");
  CHECK(count_of(fixture.plan(), "long-path") == 1);
}

TEST_CASE("a character beyond the basic plane counts as the two units that Windows has for it") {
  Fixture fixture;
  std::string faces;
  for (int i = 0; i < 50; ++i) faces += "\U0001F600";
  const std::string name = faces + "/" + faces + "/" + std::string(60, 'x');
  fixture.row(fixture.file(name).string(), "data/" + name);
  CHECK(count_of(fixture.plan(), "long-path") == 1);
}
