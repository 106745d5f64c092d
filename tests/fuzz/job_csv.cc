// Whatever the input is, the CSV readers either refuse it with a usage error or understand it so well
// that writing the rows out, every value quoted, and reading that gives the same rows again; and no
// key in a drive set is ever repeated in an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "agent/job/csv.h"
#include "agent/job/dataset.h"
#include "agent/job/driveset.h"
#include "base/error.h"

namespace {

using namespace driveprep;
using Rows = std::vector<std::vector<std::string>>;

void expect(bool condition, const char* relation) {
  if (condition) return;
  std::cerr << "broken: " << relation << '\n';
  std::abort();
}

Rows read(std::string_view text) {
  job::CsvReader reader(text, "input.csv");
  Rows rows;
  unsigned line = 0;
  while (const auto row = reader.next()) {
    expect(!row->empty(), "a row has a value");
    expect(row->front().line > line, "rows are on ascending lines");
    line = row->front().line;
    rows.emplace_back();
    for (const job::CsvField& field : *row) rows.back().push_back(field.text);
  }
  return rows;
}

std::string write(const Rows& rows) {
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i == 0 ? "\"" : ",\"";
      for (const char c : row[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
      text += '"';
    }
    text += "\r\n";
  }
  return text;
}

template <typename Action>
void refuse_or_succeed(Action action) {
  try {
    action();
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::kUsage, "bad input is a usage error");
    const std::string text = error.what() + error.remedy();
    expect(text.find("060456-014509-132033-080300-252615-584177-672089-411631") == std::string::npos,
           "a key is not repeated");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  refuse_or_succeed([&] {
    const Rows rows = read(text);
    expect(read(write(rows)) == rows, "rows survive being written and read");
  });
  refuse_or_succeed([&] {
    const job::Driveset driveset = job::parse_driveset(text, "/job/driveset.csv");
    for (const job::DriveRow& row : driveset.rows) {
      expect(row.drive_id.empty() || job::is_valid_drive_id(row.drive_id), "ids are valid");
      expect(row.kind == job::DriveRow::Kind::kSerial || row.path.is_absolute(), "paths are absolute");
    }
  });
  refuse_or_succeed([&] {
    const job::Dataset dataset = job::parse_dataset(text, "/nonexistent/dataset.csv");
    for (const job::DatasetRow& row : dataset.rows) {
      expect(row.base_path.is_absolute(), "sources are absolute");
      expect(row.name.empty() || row.name.ends_with('/') == row.is_directory,
             "the slash tells directories from files");
    }
  });
  return 0;
}
