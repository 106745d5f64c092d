// From an image file's facts to the only object through which it can be written.
//
// Reason codes of judge(), with the kind of the Error:
//   not-an-image            refused  a device path, a serial number, or not a regular file
//   image-missing           usage    no such file
//   image-is-link           refused  the path ends in a symbolic link
//   image-has-links         refused  more than one name: another path may be in use
//   image-not-owned         refused
//   image-not-writable      refused
//   image-too-small         refused  under 64 MiB
//   image-size-uneven       refused  not a multiple of the sector size
//   image-backs-loop        busy     an active loop device is made of it
//   image-inside-source     refused  it lies in what shall be copied
//   image-busy              busy     another run holds the lock
//   image-not-empty         refused  it holds something and FormatOption is not Format
//   image-not-confirmed     not-confirmed  it holds something and nobody agreed
//   image-wrong-confirmation  not-confirmed  another drive id was confirmed
//   image-not-the-one-begun journal-mismatch  the journal continues another image
//   image-fact-unreadable   refused  something that must be known could not be read
// and of arm():
//   image-changed           busy     between vetting and arming identity or contents changed
#pragma once

#include <memory>
#include <string>

#include "drive/block/file_device.h"
#include "drive/guard/image_facts.h"
#include "drive/guard/verdict.h"

namespace driveprep::guard {

inline constexpr std::uint64_t kSmallestImage = 64 * kMiB;

// All reasons against the image, for these facts and this consent. A pure function.
Verdict judge(const ImageFacts& facts, const Consent& consent);

// An image that was judged and allowed. Made by vet() only.
class VettedImage {
 public:
  const ImageFacts& facts() const { return facts_; }
  const Consent& consent() const { return consent_; }
  // What will be destroyed, in words; "empty" when nothing.
  const std::string& destroys() const { return facts_.contents.value().description; }
  // Whether an earlier run's work is continued (nothing is to be wiped when the table is there).
  bool continues() const { return consent_.begun.has_value(); }

 private:
  friend VettedImage vet(ImageFacts facts, Consent consent);
  VettedImage(ImageFacts facts, Consent consent)
      : facts_(std::move(facts)), consent_(std::move(consent)) {}

  ImageFacts facts_;
  Consent consent_;
};

// Throws the verdict's first reason (the message names the others) unless it is allowed.
VettedImage vet(ImageFacts facts, Consent consent);

// The only thing that can be written to. Holds the exclusive lock until it is destroyed.
class ArmedImage {
 public:
  block::FileDevice& device() { return *device_; }
  const ImageIdentity& identity() const { return identity_; }
  const std::string& drive_id() const { return drive_id_; }

 private:
  friend ArmedImage arm(const VettedImage& vetted);
  ArmedImage(std::unique_ptr<block::FileDevice> device, ImageIdentity identity,
             std::string drive_id)
      : device_(std::move(device)), identity_(identity), drive_id_(std::move(drive_id)) {}

  std::unique_ptr<block::FileDevice> device_;
  ImageIdentity identity_;
  std::string drive_id_;
};

// Opens the image for writing (never following a link), takes the exclusive lock, and looks again:
// identity, facts and contents must be what was vetted. Throws kBusy "image-busy" or
// "image-changed", or what judge() now finds.
ArmedImage arm(const VettedImage& vetted);

// Keeps runs that write away from an image for as long as `image` is open; any number may read it
// at once. Throws kBusy "image-busy" while one writes. Not for an image that this process has
// armed.
void hold_for_reading(const block::FileDevice& image);
// Keeps every other run away. Throws kBusy "image-busy".
void hold_for_writing(const block::FileDevice& image);

}  // namespace driveprep::guard
