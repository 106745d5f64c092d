#include "base/file_name.h"

#include <catch2/catch.hpp>

using driveprep::file_name_part;

TEST_CASE("a serial number that can be a name stays what it is") {
  for (const char* text : {"WD-WX51A1234567", "loop0", "S3Z_9.x", "ata-WDC_WD10-1"}) {
    CHECK(file_name_part(text) == text);
  }
}

TEST_CASE("nothing in a serial number leads to another place, or hides the file") {
  CHECK(file_name_part("../../etc/passwd") == "_etc_passwd");
  CHECK(file_name_part("/dev/sdb") == "_dev_sdb");
  CHECK(file_name_part(".hidden") == "_hidden");
  CHECK(file_name_part("-rf") == "_rf");
  CHECK(file_name_part("A B  C") == "A_B_C");
  CHECK(file_name_part("A\n\x1b[2JB") == "A_2JB");
  CHECK(file_name_part("A\xc3\xa9\xe2\x80\xae") == "A_");
  CHECK(file_name_part(std::string("A\0B", 3)) == "A_B");
  CHECK(file_name_part("") == "unnamed");
  CHECK(file_name_part("..") == "unnamed");
  CHECK(file_name_part("///") == "unnamed");
  CHECK(file_name_part(std::string(300, 'A')).size() == 64);
  CHECK(file_name_part(std::string(63, 'A') + "/B").size() == 64);
}
