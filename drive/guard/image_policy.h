// May this image file be written? From facts to reasons, and nothing else: a pure function.
//
// Reason codes, with the kind of the Error:
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
#pragma once

#include "drive/guard/image_facts.h"
#include "drive/guard/verdict.h"

namespace driveprep::guard {

inline constexpr std::uint64_t kSmallestImage = 64 * kMiB;

// All reasons against the image, for these facts and this consent.
Verdict judge(const ImageFacts& facts, const Consent& consent);

}  // namespace driveprep::guard
