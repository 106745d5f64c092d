#include "drive/inventory/disk_reports.h"

#include <algorithm>

#include "base/ascii.h"
#include "drive/inventory/ata_identify.h"
#include "drive/inventory/device_text.h"
#include "drive/inventory/scsi_pages.h"

namespace driveprep::inventory {
namespace {

namespace fs = std::filesystem;

// "ata2" for "ata": a word and a number, as the kernel names ports.
bool is_numbered(std::string_view text, std::string_view word) {
  return text.size() > word.size() && text.starts_with(word) &&
         std::ranges::all_of(text.substr(word.size()), ascii::is_digit);
}

// "0000:00:1f.2".
bool is_pci_address(std::string_view text) {
  return text.size() == 12 && text[4] == ':' && text[7] == ':' && text[10] == '.';
}

// "1-2", "1-2.4": a bus, and the ports on the way.
bool is_usb_port(std::string_view text) {
  return text.find('-') != std::string_view::npos && ascii::is_digit(text.front()) &&
         std::ranges::all_of(text,
                             [](char c) { return ascii::is_digit(c) || c == '-' || c == '.'; });
}

class Reader {
 public:
  Reader(const Sysfs& sysfs, const fs::path& disk) : sysfs_(sysfs), disk_(disk) {}

  IdentityReports read() {
    reports_.bus = bus_of(disk_);
    switch (reports_.bus) {
      case Bus::kNvme: read_nvme(); break;
      case Bus::kLoop: break;
      default: read_pages(); read_inquiry();
    }
    if (reports_.bus == Bus::kUsb) read_usb();
    return std::move(reports_);
  }

 private:
  static void add(std::vector<Statement>& statements, std::string value, Source source) {
    if (!value.empty()) statements.push_back({std::move(value), source});
  }

  std::string text(const fs::path& device, const std::string& name) const {
    return clean_device_text(sysfs_.attribute(device, name).value_or(""));
  }

  // Runs a parser over a page that is there.
  template <typename Parse>
  void page(const std::string& name, Parse parse) {
    const std::optional<Bytes> content = sysfs_.binary(disk_, "device/" + name);
    if (!content || content->empty()) return;
    try {
      parse(*content);
    } catch (const FormatError& error) {
      throw Error(ErrorKind::kBusy, "sysfs-unreadable",
                  (disk_ / "device" / name).string() + ": " + error.what());
    }
  }

  void read_pages() {
    page("vpd_pg89", [&](const Bytes& content) {
      const AtaIdentify drive = parse_ata_identify(ata_page_of(content));
      add_ata_statements(drive, Source::kAtaPage, reports_);
      reports_.speaks_ata = true;
    });
    page("vpd_pg80", [&](const Bytes& content) {
      add(reports_.serials, parse_unit_serial(content), Source::kUnitSerial);
    });
    page("vpd_pg83", [&](const Bytes& content) {
      try {
        if (const auto wwn = parse_world_wide_name(content)) {
          add(reports_.wwns, *wwn, Source::kUnitSerial);
        }
      } catch (const FormatError&) {  // nothing that a disk is known by
      }
    });
    add(reports_.serials, text(disk_, "serial"), Source::kUnitSerial);  // virtio
  }

  void read_inquiry() {
    const std::string vendor = text(disk_, "device/vendor");
    std::string model = text(disk_, "device/model");
    // libata and SAS controllers say ATA for all of them; virtio has a number there.
    if (!vendor.empty() && !reports_.speaks_ata) reports_.speaks_ata = vendor == "ATA";
    if (!vendor.empty() && vendor != "ATA" && !vendor.starts_with("0x"))
      model = vendor + " " + model;
    add(reports_.models, clean_device_text(model), Source::kInquiry);
    add(reports_.firmwares, text(disk_, "device/rev"), Source::kInquiry);
  }

  void read_nvme() {
    add(reports_.serials, text(disk_, "device/serial"), Source::kNvme);
    add(reports_.models, text(disk_, "device/model"), Source::kNvme);
    add(reports_.firmwares, text(disk_, "device/firmware_rev"), Source::kNvme);
    add(reports_.wwns, text(disk_, "wwid"), Source::kNvme);
  }

  // The enclosure is the nearest parent that has a USB vendor.
  void read_usb() {
    const fs::path root = sysfs_.root();
    for (fs::path parent = disk_.parent_path(); parent != root && parent.has_relative_path();
         parent = parent.parent_path()) {
      if (!sysfs_.exists(parent, "idVendor")) continue;
      add(reports_.serials, text(parent, "serial"), Source::kUsb);
      add(reports_.models,
          clean_device_text(text(parent, "manufacturer") + " " + text(parent, "product")),
          Source::kUsb);
      return;
    }
  }

  const Sysfs& sysfs_;
  const fs::path& disk_;
  IdentityReports reports_;
};

}  // namespace

Bus bus_of(const fs::path& disk) {
  const std::string name = disk.filename().string();
  if (is_numbered(name, "loop")) return Bus::kLoop;
  Bus bus = Bus::kOther;
  for (const fs::path& part : disk) {
    const std::string text = part.string();
    // The innermost one that is met counts, but for what is on a USB port: that is behind a bridge.
    if (is_numbered(text, "usb")) return Bus::kUsb;
    if (is_numbered(text, "ata")) bus = Bus::kSata;
    if (text.starts_with("end_device-")) bus = Bus::kSas;
    if (text == "nvme") bus = Bus::kNvme;
    if (is_numbered(text, "virtio")) bus = Bus::kVirtio;
    if (is_numbered(text, "mmc")) bus = Bus::kMmc;
  }
  return bus;
}

std::string bus_path_of(const fs::path& disk) {
  std::string controller;
  std::string port;
  for (const fs::path& part : disk) {
    const std::string text = part.string();
    if (is_pci_address(text)) controller = "pci-" + text;
    if (is_numbered(text, "ata")) port = text;
    if (text.starts_with("end_device-")) port = text;
    if (is_usb_port(text)) port = "usb-" + text;
  }
  return controller + (controller.empty() || port.empty() ? "" : " ") + port;
}

IdentityReports read_reports(const Sysfs& sysfs, const fs::path& disk) {
  return Reader(sysfs, disk).read();
}

}  // namespace driveprep::inventory
