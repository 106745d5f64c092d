// Identifiers of keys in messages.
#pragma once

#include <string>
#include <string_view>

namespace driveprep::keywrap {

// The identifier as it may be shown, however wrong it is: without the PIN of a PKCS#11 URI
// (pin-value=(...)) and without the user and password of a URL (https://(...)@host), on one line of
// printable ASCII (any other character is a "?"), and at most 400 characters of it.
std::string shown_uri(std::string_view uri);

}  // namespace driveprep::keywrap
