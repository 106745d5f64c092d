#include "agent/manifest/drive_info.h"

#include "agent/manifest/xml_text.h"
#include "base/atomic_file.h"
#include "base/system_error.h"

namespace driveprep::manifest {
namespace {

void append(std::string& xml, const std::string& name, const std::string& text) {
  require_writable(text, name);
  xml += "  <" + name + ">";
  for (const char c : text) {
    const std::string_view escape = xml_escape(c);
    if (escape.empty()) {
      xml.push_back(c);
    } else {
      xml += escape;
    }
  }
  xml += "</" + name + ">\n";
}

}  // namespace

std::string drive_info_xml(const DriveInfo& info) {
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Drive>\n";
  append(xml, "DriveId", info.drive_id);
  append(xml, "ManifestFile", info.manifest_file);
  append(xml, "ManifestHash", info.manifest_md5_hex);
  return xml + "</Drive>\n";
}

void write_drive_info(const std::filesystem::path& path, const DriveInfo& info) {
  in_job_directory([&] { write_file_atomically(path, as_bytes(drive_info_xml(info)), 0644); });
}

}  // namespace driveprep::manifest
