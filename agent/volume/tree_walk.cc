#include "agent/volume/tree_walk.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace driveprep::volume {
namespace {

class Walk {
 public:
  Walk(ntfs::FileTree& tree, TreeVisitor& visitor, ntfs::FileTree::Metafiles metafiles)
      : tree_(tree), visitor_(visitor), metafiles_(metafiles) {}

  void run(const ntfs::Found& start) {
    path_ = start.path;
    visit(start.entry);
    while (!levels_.empty()) {
      Level& level = levels_.back();
      path_.resize(level.path_length);
      if (level.next == level.names.size()) {
        visitor_.leave(path_, level.directory);
        levels_.pop_back();
        continue;
      }
      const ntfs::ListedName listed = std::move(level.names[level.next++]);
      if (!path_.empty()) path_ += u'/';
      path_ += listed.name;
      if (const auto entry = attempt([&] { return tree_.entry(listed); })) visit(*entry);
    }
  }

 private:
  struct Level {
    ntfs::Entry directory;
    std::vector<ntfs::ListedName> names;
    std::size_t next = 0;
    std::size_t path_length = 0;
  };

  // nullopt after a problem of the volume.
  template <typename Action>
  auto attempt(Action action) -> std::optional<decltype(action())> {
    try {
      return action();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInternal) throw;
      visitor_.problem(path_, error);
      return std::nullopt;
    }
  }

  void visit(const ntfs::Entry& entry) {
    if (!entry.is_directory()) {
      visitor_.file(path_, entry);
      return;
    }
    if (!visitor_.enter(path_, entry)) return;
    auto names = attempt([&] {
      require_no_loop(entry);
      return tree_.list(entry, metafiles_);
    });
    levels_.push_back(
        {entry, names ? std::move(*names) : std::vector<ntfs::ListedName>(), 0, path_.size()});
  }

  void require_no_loop(const ntfs::Entry& entry) const {
    const bool loop = std::ranges::any_of(
        levels_, [&](const Level& level) { return level.directory.record == entry.record; });
    if (!loop) return;
    throw Error(ErrorKind::kVerification, "volume-damaged",
                "a directory on " + tree_.name() + " contains itself",
                "Let Windows check the volume (chkdsk /f).");
  }

  ntfs::FileTree& tree_;
  TreeVisitor& visitor_;
  ntfs::FileTree::Metafiles metafiles_;
  std::u16string path_;
  std::vector<Level> levels_;
};

}  // namespace

void walk_tree(ntfs::FileTree& tree, const ntfs::Found& start, TreeVisitor& visitor,
               ntfs::FileTree::Metafiles metafiles) {
  Walk(tree, visitor, metafiles).run(start);
}

}  // namespace driveprep::volume
