#include "drive/guard/image_policy.h"

#include "base/human_text.h"

namespace driveprep::guard {
namespace {

class Judge {
 public:
  Judge(const ImageFacts& facts, const Consent& consent)
      : facts_(facts), consent_(consent), name_(facts.request.path.string()) {}

  Verdict verdict() {
    if (is_ordinary_file()) {
      check_file();
      check_size();
      check_use();
      check_contents();
    }
    return std::move(verdict_);
  }

 private:
  void refuse(std::string code, ErrorKind kind, std::string message, std::string remedy) {
    verdict_.reasons.push_back({std::move(code), kind, std::move(message), std::move(remedy)});
  }

  // A fact that is not known refuses; false then.
  template <typename T>
  bool known(const Fact<T>& fact, const char* what) {
    if (fact.known()) return true;
    refuse("image-fact-unreadable", ErrorKind::kRefused,
           "cannot tell " + std::string(what) + " of " + name_ + ": " + fact.why_not(),
           "Remove the cause, then run the same command again.");
    return false;
  }

  // Without these there is nothing more to say about the file.
  bool is_ordinary_file() {
    if (facts_.kind != PathKind::kFile) {
      refuse("not-an-image", ErrorKind::kRefused,
             name_ + " names a physical drive; this version prepares image files only",
             "Name an image file in driveset.csv.");
      return false;
    }
    if (!known(facts_.exists, "whether there is a file behind the name")) return false;
    if (!facts_.exists.value()) {
      refuse("image-missing", ErrorKind::kUsage, "there is no file " + name_,
             "Make the image first, for example: truncate -s 8G " + name_);
      return false;
    }
    if (!known(facts_.symbolic_link, "whether the name is a symbolic link")) return false;
    if (facts_.symbolic_link.value()) {
      refuse("image-is-link", ErrorKind::kRefused, name_ + " is a symbolic link",
             "Name the image file itself.");
      return false;
    }
    if (!known(facts_.regular, "the kind")) return false;
    if (!facts_.regular.value()) {
      refuse("not-an-image", ErrorKind::kRefused, name_ + " is not a regular file",
             "Name an image file in driveset.csv.");
      return false;
    }
    return true;
  }

  void check_file() {
    if (known(facts_.links, "the number of names") && facts_.links.value() != 1) {
      refuse("image-has-links", ErrorKind::kRefused,
             name_ + " has " + std::to_string(facts_.links.value()) +
                 " names: something else may be using it",
             "Remove the other hard links, or copy the file.");
    }
    if (known(facts_.owned, "the owner") && !facts_.owned.value()) {
      refuse("image-not-owned", ErrorKind::kRefused, name_ + " belongs to another user",
             "Use an image file of your own, or run as its owner.");
    }
    if (known(facts_.writable, "the permissions") && !facts_.writable.value()) {
      refuse("image-not-writable", ErrorKind::kRefused, name_ + " cannot be written",
             "Give yourself write permission: chmod u+w " + name_);
    }
  }

  void check_size() {
    if (!known(facts_.identity, "the identity")) return;
    const std::uint64_t size = facts_.identity.value().size;
    const std::uint64_t sector = facts_.request.sector.bytes();
    if (size < kSmallestImage) {
      refuse("image-too-small", ErrorKind::kRefused,
             name_ + " has " + counted(size, "byte") + "; the smallest drive has " +
                 std::to_string(kSmallestImage) + " (64 MiB)",
             "Make it larger, for example: truncate -s 8G " + name_);
    }
    if (size % sector != 0) {
      refuse(
          "image-size-uneven", ErrorKind::kRefused,
          name_ + " has " + counted(size, "byte") + ", not a multiple of the sector size " +
              std::to_string(sector),
          "Round its size up: truncate -s " + std::to_string(round_up(size, kMiB)) + " " + name_);
    }
  }

  void check_use() {
    if (known(facts_.loop_device, "whether a loop device uses the file") &&
        !facts_.loop_device.value().empty()) {
      const std::string& loop = facts_.loop_device.value();
      refuse("image-backs-loop", ErrorKind::kBusy, name_ + " is in use as /dev/" + loop,
             "Detach it: losetup -d /dev/" + loop);
    }
    if (known(facts_.inside_source, "whether the file lies in a source") &&
        !facts_.inside_source.value().empty()) {
      refuse("image-inside-source", ErrorKind::kRefused,
             name_ + " lies in " + facts_.inside_source.value() + ", which shall be copied",
             "Move the image out of the source, or leave the source out of dataset.csv.");
    }
    if (known(facts_.locked, "whether another run uses the file") && facts_.locked.value()) {
      refuse("image-busy", ErrorKind::kBusy, name_ + " is in use by another run of driveprep",
             "Wait for that run to end, then try again.");
    }
  }

  void check_contents() {
    if (facts_.locked.known() && facts_.locked.value()) return;
    if (!known(facts_.contents, "the contents")) return;
    if (consent_.begun && !consent_.replaces) {
      check_continuation(*consent_.begun);
      return;
    }
    const inventory::Contents& contents = facts_.contents.value();
    if (!contents.holds_something() && !consent_.replaces) return;
    std::string holds = contents.holds_something()
                            ? name_ + " already holds something: " + contents.description
                            : name_ + " is empty";
    if (consent_.replaces) holds += "; " + *consent_.replaces;
    const std::string& id = facts_.request.drive_id;
    if (!consent_.format) {
      refuse("image-not-empty", ErrorKind::kRefused, holds,
             "Use an empty image, or set FormatOption to Format in driveset.csv to destroy this.");
    } else if (!consent_.silent && !consent_.confirmed_id) {
      refuse("image-not-confirmed", ErrorKind::kNotConfirmed, holds + "; nobody confirmed its loss",
             "To destroy it, type the drive id when asked, or add --confirm " + id + ".");
    } else if (!consent_.silent && *consent_.confirmed_id != id) {
      refuse("image-wrong-confirmation", ErrorKind::kNotConfirmed,
             holds + "; the confirmation names another drive than " + id,
             "Check which drive you mean; to destroy this one, confirm " + id + ".");
    }
  }

  // The consent was given when the drive was begun; what must be sure is that this is that drive.
  void check_continuation(const Consent::Begun& begun) {
    const auto not_the_one = [&](const std::string& why) {
      refuse("image-not-the-one-begun", ErrorKind::kJournalMismatch,
             name_ + " is not the image that an earlier run began for drive " +
                 facts_.request.drive_id + ": " + why,
             "Put the right image back, or start over with a new job directory.");
    };
    if (begun.disk_guid) {
      if (!known(facts_.disk_guid, "the disk GUID")) return;
      const std::string& found = facts_.disk_guid.value();
      if (found == begun.disk_guid->lower()) return;
      not_the_one("its disk GUID is " + (found.empty() ? "missing" : found) + " instead of " +
                  begun.disk_guid->lower());
    } else {
      if (!known(facts_.identity, "the identity")) return;
      if (facts_.identity.value().to_string() == begun.identity) return;
      not_the_one("it is " + facts_.identity.value().to_string() + " instead of " + begun.identity);
    }
  }

  const ImageFacts& facts_;
  const Consent& consent_;
  const std::string name_;
  Verdict verdict_;
};

}  // namespace

Verdict judge(const ImageFacts& facts, const Consent& consent) {
  return Judge(facts, consent).verdict();
}

}  // namespace driveprep::guard
