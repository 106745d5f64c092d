#include "drive/ntfs/file_data.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "drive/ntfs/file_layout.h"

namespace driveprep::ntfs::library {
namespace {

// Up to here a file is read through the cache: neighbours of a directory lie side by side.
constexpr std::uint64_t kSmallFile = 64 * kKiB;

void check_inside(const FileReader& file, std::uint64_t offset, std::uint64_t length) {
  require(offset <= file.size() && length <= file.size() - offset, "a file is read beyond its end");
}

class ResidentData : public FileReader {
 public:
  explicit ResidentData(Bytes content) : content_(std::move(content)) {}

  std::uint64_t size() const override { return content_.size(); }

  void read(std::uint64_t offset, MutableByteView out) override {
    check_inside(*this, offset, out.size());
    std::copy_n(content_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }

  Stretch stretch(std::uint64_t offset) const override { return {content_.size() - offset, false}; }

 private:
  Bytes content_;
};

class ClusterData : public FileReader {
 public:
  struct Extent {
    std::uint64_t begin = 0;  // in the file
    std::uint64_t end = 0;
    std::optional<std::uint64_t> offset;  // on the device; nullopt: zeros
  };

  // `extents` cover the file without a gap.
  ClusterData(const block::ReadableDevice& device, Storage& small, std::uint64_t size,
              std::vector<Extent> extents)
      : device_(device), small_(small), size_(size), extents_(std::move(extents)) {}

  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, MutableByteView out) override {
    check_inside(*this, offset, out.size());
    while (!out.empty()) {
      const Extent& extent = extent_at(offset);
      const MutableByteView part =
          out.first(std::min<std::uint64_t>(out.size(), extent.end - offset));
      if (!extent.offset) {
        std::ranges::fill(part, std::byte{0});
      } else if (size_ <= kSmallFile) {
        small_.read(*extent.offset + (offset - extent.begin), part);
      } else {
        device_.read(*extent.offset + (offset - extent.begin), part);
      }
      offset += part.size();
      out = out.subspan(part.size());
    }
  }

  Stretch stretch(std::uint64_t offset) const override {
    require(offset < size_, "nothing lies behind the end of a file");
    const Extent& extent = extent_at(offset);
    return {extent.end - offset, !extent.offset.has_value()};
  }

 private:
  const Extent& extent_at(std::uint64_t offset) const {
    return *std::prev(std::ranges::upper_bound(extents_, offset, {}, &Extent::begin));
  }

  const block::ReadableDevice& device_;
  Storage& small_;
  std::uint64_t size_;
  std::vector<Extent> extents_;
};

class CompressedData : public FileReader {
 public:
  CompressedData(Mount& mount, Inode inode, Attribute data)
      : mount_(mount), inode_(std::move(inode)), data_(std::move(data)) {}

  std::uint64_t size() const override { return static_cast<std::uint64_t>(data_->data_size); }

  void read(std::uint64_t offset, MutableByteView out) override {
    check_inside(*this, offset, out.size());
    const auto valid = static_cast<std::uint64_t>(data_->initialized_size);
    const std::uint64_t stored =
        offset < valid ? std::min<std::uint64_t>(out.size(), valid - offset) : 0;
    mount_.begin();
    for (std::uint64_t done = 0; done < stored;) {
      const s64 got = ntfs_attr_pread(data_.get(), static_cast<s64>(offset + done),
                                      static_cast<s64>(stored - done), out.data() + done);
      if (got < 0) mount_.fail("decompress record " + std::to_string(inode_->mft_no));
      mount_.check();
      if (got == 0) {
        mount_.damaged("record " + std::to_string(inode_->mft_no) + " ends after " +
                       std::to_string(offset + done) + " of " + std::to_string(size()) + " bytes");
      }
      done += static_cast<std::uint64_t>(got);
    }
    std::ranges::fill(out.subspan(stored), std::byte{0});
  }

  Stretch stretch(std::uint64_t offset) const override {
    const auto valid = static_cast<std::uint64_t>(data_->initialized_size);
    return offset < valid ? Stretch{valid - offset, false} : Stretch{size() - offset, true};
  }

 private:
  Mount& mount_;
  Inode inode_;
  Attribute data_;  // closed before its inode
};

Bytes read_resident(Mount& mount, ntfs_attr* data) {
  const auto size = static_cast<std::uint64_t>(data->data_size);
  if (size > mount.volume()->mft_record_size) {
    mount.damaged("the data of record " + std::to_string(data->ni->mft_no) + " exceeds the record");
  }
  Bytes content(size);
  if (size != 0 && ntfs_attr_pread(data, 0, data->data_size, content.data()) != data->data_size) {
    mount.fail("read the data of record " + std::to_string(data->ni->mft_no));
  }
  return content;
}

// The runs cut to what is valid; zeros behind, up to the size.
std::vector<ClusterData::Extent> extents_of(Mount& mount, const block::ReadableDevice& device,
                                            ntfs_attr* data) {
  const auto size = static_cast<std::uint64_t>(data->data_size);
  const auto valid = std::min(size, static_cast<std::uint64_t>(data->initialized_size));
  const std::string record = "record " + std::to_string(data->ni->mft_no);
  std::vector<ClusterData::Extent> extents;
  std::uint64_t at = 0;
  for (const Run& run : read_runs(mount, data)) {
    const std::uint64_t end = std::min(at + run.length, valid);
    if (at >= end) break;
    if (run.offset && (*run.offset > device.size() || end - at > device.size() - *run.offset)) {
      mount.damaged(record + " has clusters beyond the end of the volume");
    }
    extents.push_back({at, end, run.offset});
    at = end;
  }
  if (at < valid) {
    mount.damaged(record + " has clusters for " + std::to_string(at) + " of " +
                  std::to_string(valid) + " bytes");
  }
  if (at < size) extents.push_back({at, size, std::nullopt});
  return extents;
}

}  // namespace

std::unique_ptr<FileReader> open_data(Mount& mount, const block::ReadableDevice& device,
                                      Storage& small, Inode inode) {
  errno = 0;
  Attribute data(ntfs_attr_open(inode.get(), AT_DATA, AT_UNNAMED, 0));
  if (!data) {
    if (errno != ENOENT) mount.fail("open the data of record " + std::to_string(inode->mft_no));
    return std::make_unique<ResidentData>(Bytes());  // a file may have named streams only
  }
  if (!NAttrNonResident(data.get())) {
    return std::make_unique<ResidentData>(read_resident(mount, data.get()));
  }
  if ((data->data_flags & ATTR_COMPRESSION_MASK) != 0) {
    return std::make_unique<CompressedData>(mount, std::move(inode), std::move(data));
  }
  const auto size = static_cast<std::uint64_t>(data->data_size);
  return std::make_unique<ClusterData>(device, small, size, extents_of(mount, device, data.get()));
}

}  // namespace driveprep::ntfs::library
