// The published worked example of a drive manifest: its data, and its text with the hashes that
// other implementations computed.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "agent/manifest/manifest_reader.h"
#include "agent/manifest/manifest_writer.h"
#include "base/error.h"
#include "tests/support/scratch.h"

namespace driveprep::manifest {

using test::error_of;

inline constexpr std::string_view kMetadataXml = R"(<?xml version="1.0" encoding="utf-8"?>
<Metadata>
  <UploadMethod>DiskImport</UploadMethod>
  <DataSetName>SampleData</DataSetName>
</Metadata>
)";

inline constexpr std::string_view kPropertiesXml = R"(<?xml version="1.0" encoding="utf-8"?>
<Properties>
  <Content-Type>application/octet-stream</Content-Type>
  <Cache-Control>no-cache</Cache-Control>
</Properties>
)";

inline constexpr std::string_view kReadme = "hello, import\n";

inline constexpr std::string_view kWorkedExample = R"(<?xml version="1.0" encoding="utf-8"?>
<DriveManifest Version="2014-11-01">
  <Drive>
    <DriveId>ZC1A0F7K</DriveId>
    <ClientCreator>example-prep 1.0</ClientCreator>
    <BlobList Id="photos#1-0">
      <MetadataPath Hash="41C5D8C1DF77D7B787A20821798B7742">\photos#1\meta.xml</MetadataPath>
      <PropertiesPath Hash="52A164E9A1111EE0FB2F6725A79F2B28">\photos#1\props.xml</PropertiesPath>
      <Blob>
        <BlobPath>pictures/2023/a.bin</BlobPath>
        <FilePath>\photos#1\2023\a.bin</FilePath>
        <Length>10485760</Length>
        <ImportDisposition>no-overwrite</ImportDisposition>
        <BlockList>
          <Block Offset="0" Length="4194304" Id="AAAAAA==" Hash="AAD8B8E4D120D0DF7A7FDA991D5DAB03" />
          <Block Offset="4194304" Length="4194304" Id="AQAAAA==" Hash="670593051F6479ED59059AE82629FF7A" />
          <Block Offset="8388608" Length="2097152" Id="AgAAAA==" Hash="DC40E9387A362088265FE86B8373E80B" />
        </BlockList>
      </Blob>
      <Blob>
        <BlobPath>pictures/readme.txt</BlobPath>
        <FilePath>\photos#1\readme.txt</FilePath>
        <Length>14</Length>
        <ImportDisposition>rename</ImportDisposition>
        <BlockList>
          <Block Offset="0" Length="14" Hash="D5A7478C30950E85DEDFAC9ABF3E7D65" />
        </BlockList>
      </Blob>
    </BlobList>
    <BlobList Id="vhds#1-0">
      <Blob>
        <BlobPath>vhds/disk0.vhd</BlobPath>
        <FilePath>\vhds#1\disk0.vhd</FilePath>
        <Length>8388608</Length>
        <ImportDisposition>overwrite</ImportDisposition>
        <PageRangeList>
          <PageRange Offset="0" Length="4194304" Hash="AAD8B8E4D120D0DF7A7FDA991D5DAB03" />
          <PageRange Offset="8388096" Length="512" Hash="E33B2743A34499B7B3BD879D641902C9" />
        </PageRangeList>
      </Blob>
    </BlobList>
  </Drive>
</DriveManifest>
)";

// Byte i is i mod 251.
inline Bytes counting_bytes(std::size_t size) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(i % 251);
  return data;
}

inline Bytes worked_example_disk() {
  Bytes disk = counting_bytes(4 * kMiB);
  disk.resize(8 * kMiB);
  std::fill(disk.end() - 512, disk.end(), std::byte{'Z'});
  return disk;
}

inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result(text);
  const std::size_t at = result.find(from);
  require(at != std::string::npos, "the text to replace is not there");
  return result.replace(at, from.size(), to);
}

// Gives the bytes in runs of at most `run`.
inline ManifestReader::Source text_source(std::string text, std::size_t run = 1 << 20) {
  return [text = std::move(text), run, at = std::size_t{0}](MutableByteView out) mutable {
    const std::size_t count = std::min({out.size(), run, text.size() - at});
    const ByteView data = as_bytes(text).subspan(at, count);
    std::copy(data.begin(), data.end(), out.begin());
    at += count;
    return count;
  };
}

}  // namespace driveprep::manifest
