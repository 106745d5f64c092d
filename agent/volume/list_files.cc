#include "agent/volume/list_files.h"

#include "agent/volume/file_names.h"
#include "agent/volume/tree_walk.h"

namespace driveprep::volume {
namespace {

class Lister : public TreeVisitor {
 public:
  Lister(const ListRequest& request, const ntfs::Found& start)
      : request_(request), start_(start.path) {}

  void file(std::u16string_view path, const ntfs::Entry& entry) override {
    ++totals.files;
    totals.bytes += entry.size;
    request_.on_entry(text_of_path(path), entry);
  }

  bool enter(std::u16string_view path, const ntfs::Entry& directory) override {
    if (path == start_) return true;
    ++totals.directories;
    request_.on_entry(text_of_path(path), directory);
    return request_.recursive;
  }

  void leave(std::u16string_view, const ntfs::Entry&) override {}

  void problem(std::u16string_view path, const Error& error) override {
    ++totals.problems;
    request_.on_problem(text_of_path(path), error);
  }

  ListTotals totals;

 private:
  const ListRequest& request_;
  const std::u16string& start_;
};

}  // namespace

ListTotals list_files(ntfs::FileTree& tree, const ListRequest& request) {
  const ntfs::Found start = find_or_throw(tree, request.path);
  Lister lister(request, start);
  walk_tree(tree, start, lister, request.metafiles);
  return lister.totals;
}

}  // namespace driveprep::volume
