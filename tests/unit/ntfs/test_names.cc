#include <catch2/catch.hpp>

#include "drive/ntfs/names.h"

using namespace driveprep::ntfs;

TEST_CASE("ordinary names of every script are accepted") {
  for (const char16_t* name : {u"a", u"report.final.txt", u"été", u"e\u0301te\u0301", u"文書", u"שלום",
                               u"\U0001F600.png", u".hidden", u"COM", u"COM10", u"CONSOLE", u"LPT",
                               u"a b", u"nul-1", u"$Recycle", u"100%"}) {
    CHECK(check_name(name, NamePlace::kRoot) == NameVerdict::kOk);
  }
  CHECK(check_name(std::u16string(255, u'x')) == NameVerdict::kOk);
}

TEST_CASE("each kind of name that Windows cannot open is refused by its own verdict") {
  CHECK(check_name(u"") == NameVerdict::kEmpty);
  CHECK(check_name(u".") == NameVerdict::kEmpty);
  CHECK(check_name(u"..") == NameVerdict::kEmpty);
  CHECK(check_name(std::u16string(256, u'x')) == NameVerdict::kTooLong);
  CHECK(check_name(u"a\xD800z") == NameVerdict::kUnpairedSurrogate);
  CHECK(check_name(u"a\xDC00") == NameVerdict::kUnpairedSurrogate);
  CHECK(check_name(std::u16string{u'a', 0xD83D}) == NameVerdict::kUnpairedSurrogate);
  for (char16_t bad : std::u16string(u"\\/:*?\"<>|\x01\x1F")) {
    CHECK(check_name(std::u16string(u"a") + bad) == NameVerdict::kForbiddenCharacter);
  }
  CHECK(check_name(std::u16string(1, u'\0')) == NameVerdict::kForbiddenCharacter);
  CHECK(check_name(u"a.") == NameVerdict::kTrailingDotOrSpace);
  CHECK(check_name(u"a ") == NameVerdict::kTrailingDotOrSpace);
  CHECK(check_name(u"...") == NameVerdict::kTrailingDotOrSpace);
}

TEST_CASE("device names are refused in any case and with any extension") {
  for (const char16_t* name :
       {u"CON", u"con", u"Prn.txt", u"AUX", u"nul.tar.gz", u"NUL .txt", u"COM0", u"com9.log", u"LPT1",
        u"lpt0", u"COM\u00B9", u"LPT\u00B2.x", u"com\u00B3", u"CONIN$", u"conout$.txt"}) {
    CHECK(check_name(name) == NameVerdict::kReservedDeviceName);
  }
}

TEST_CASE("names of system files are refused at the root only") {
  for (const char16_t* name : {u"$MFT", u"$mftmirr", u"$Extend", u"System Volume Information",
                               u"system volume information", u"$Recycle.Bin"}) {
    CHECK(check_name(name, NamePlace::kRoot) == NameVerdict::kSystemName);
    CHECK(check_name(name, NamePlace::kBelowRoot) == NameVerdict::kOk);
  }
}

TEST_CASE("every refusal has words for the report") {
  for (NameVerdict verdict :
       {NameVerdict::kEmpty, NameVerdict::kTooLong, NameVerdict::kUnpairedSurrogate,
        NameVerdict::kForbiddenCharacter, NameVerdict::kReservedDeviceName,
        NameVerdict::kTrailingDotOrSpace, NameVerdict::kSystemName}) {
    CHECK_FALSE(to_string(verdict).empty());
  }
  CHECK(to_string(NameVerdict::kOk).empty());
}

TEST_CASE("names that differ only in case fold together, names that differ in more do not") {
  CHECK(fold_case(u"ReadMe.TXT") == fold_case(u"readme.txt"));
  CHECK(fold_case(u"ÉTÉ") == fold_case(u"été"));
  CHECK(fold_case(u"ЖУК") == fold_case(u"жук"));
  CHECK(fold_case(u"\u00E9") != fold_case(u"e\u0301"));  // no normalisation
  CHECK(fold_case(u"ß") != fold_case(u"SS"));
  CHECK(fold_case(u"\u0131") != fold_case(u"I"));  // dotless i has no upper case here
  CHECK(fold_case(u"\U00010428") == u"\U00010428");  // no folding outside the first plane
}
