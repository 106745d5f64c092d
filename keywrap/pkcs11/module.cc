#include "keywrap/pkcs11/module.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "keywrap/excerpt.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

namespace fs = std::filesystem;

// Of this process.
std::mutex registry_mutex;
std::map<fs::path, std::shared_ptr<Module>> registry;
std::set<std::pair<fs::path, std::string>> refused_logins;

[[noreturn]] void unusable(const fs::path& file, const std::string& why, std::string remedy = {}) {
  if (remedy.empty()) remedy = "Check module-path in the PKCS#11 URI of the key.";
  throw Error(ErrorKind::kKey, "token-module",
              "the PKCS#11 module " + file.string() + " cannot be used: " + why, std::move(remedy));
}

// What is loaded here runs with all rights of the operator.
void require_trusted(const fs::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) unusable(file, std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) unusable(file, "it is no file");
  if ((facts.st_uid != 0 && facts.st_uid != ::geteuid()) || (facts.st_mode & 022) != 0) {
    unusable(file, "others can write to it",
             "Name a module that belongs to root or to you and that nobody else can write to.");
  }
}

CK_FUNCTION_LIST* function_list(const fs::path& file) {
  // Never closed: some modules do not survive that.
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    unusable(file, excerpt(reason != nullptr ? reason : "it cannot be loaded", 300));
  }
  const auto get = std::bit_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (get == nullptr || get(&functions) != CKR_OK || functions == nullptr) {
    unusable(file, "it is no PKCS#11 module");
  }
  return functions;
}

// Fields are filled up with blanks; a module that fills them with zeros is forgiven.
template <std::size_t Size>
std::string text_of(const unsigned char (&field)[Size]) {
  std::string text(field, field + Size);
  text.erase(std::min(text.find('\0'), text.size()));
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

bool agrees(const std::optional<std::string>& wanted, const std::string& found) {
  return !wanted || *wanted == found;
}

}  // namespace

std::string name_of(CK_RV result) {
  switch (result) {
#define DRIVEPREP_NAME(code) \
  case code: return #code
    DRIVEPREP_NAME(CKR_ARGUMENTS_BAD);
    DRIVEPREP_NAME(CKR_CRYPTOKI_NOT_INITIALIZED);
    DRIVEPREP_NAME(CKR_DATA_INVALID);
    DRIVEPREP_NAME(CKR_DATA_LEN_RANGE);
    DRIVEPREP_NAME(CKR_DEVICE_ERROR);
    DRIVEPREP_NAME(CKR_DEVICE_MEMORY);
    DRIVEPREP_NAME(CKR_DEVICE_REMOVED);
    DRIVEPREP_NAME(CKR_ENCRYPTED_DATA_INVALID);
    DRIVEPREP_NAME(CKR_ENCRYPTED_DATA_LEN_RANGE);
    DRIVEPREP_NAME(CKR_FUNCTION_FAILED);
    DRIVEPREP_NAME(CKR_FUNCTION_NOT_SUPPORTED);
    DRIVEPREP_NAME(CKR_GENERAL_ERROR);
    DRIVEPREP_NAME(CKR_HOST_MEMORY);
    DRIVEPREP_NAME(CKR_KEY_FUNCTION_NOT_PERMITTED);
    DRIVEPREP_NAME(CKR_KEY_HANDLE_INVALID);
    DRIVEPREP_NAME(CKR_KEY_TYPE_INCONSISTENT);
    DRIVEPREP_NAME(CKR_MECHANISM_INVALID);
    DRIVEPREP_NAME(CKR_MECHANISM_PARAM_INVALID);
    DRIVEPREP_NAME(CKR_OBJECT_HANDLE_INVALID);
    DRIVEPREP_NAME(CKR_PIN_EXPIRED);
    DRIVEPREP_NAME(CKR_PIN_INCORRECT);
    DRIVEPREP_NAME(CKR_PIN_INVALID);
    DRIVEPREP_NAME(CKR_PIN_LEN_RANGE);
    DRIVEPREP_NAME(CKR_PIN_LOCKED);
    DRIVEPREP_NAME(CKR_SESSION_CLOSED);
    DRIVEPREP_NAME(CKR_SESSION_COUNT);
    DRIVEPREP_NAME(CKR_SESSION_HANDLE_INVALID);
    DRIVEPREP_NAME(CKR_TOKEN_NOT_PRESENT);
    DRIVEPREP_NAME(CKR_TOKEN_NOT_RECOGNIZED);
    DRIVEPREP_NAME(CKR_USER_NOT_LOGGED_IN);
    DRIVEPREP_NAME(CKR_USER_PIN_NOT_INITIALIZED);
#undef DRIVEPREP_NAME
    default: return "error " + std::to_string(result);
  }
}

std::shared_ptr<Module> Module::load(const fs::path& named) {
  require_trusted(named);
  const fs::path file = fs::canonical(named);
  const std::lock_guard guard(registry_mutex);
  if (const auto loaded = registry.find(file); loaded != registry.end()) return loaded->second;
  return registry.emplace(file, std::shared_ptr<Module>(new Module(file))).first->second;
}

Module::Module(const fs::path& file) : file_(file), functions_(function_list(file)) {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  CK_RV result = functions_->C_Initialize(&arguments);
  // Our own lock is enough for a module that has none.
  if (result == CKR_CANT_LOCK) result = functions_->C_Initialize(nullptr);
  if (result != CKR_OK && result != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
    unusable(file, "it does not start (" + name_of(result) + ")",
             "Check the configuration of the module.");
  }
}

std::vector<Token> Module::tokens(const Pkcs11Uri& uri) {
  const std::lock_guard guard(mutex_);
  CK_INFO library{};
  CK_RV result = functions_->C_GetInfo(&library);
  CK_ULONG count = 0;
  if (result == CKR_OK) result = functions_->C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots(count);
  if (result == CKR_OK) result = functions_->C_GetSlotList(CK_TRUE, slots.data(), &count);
  if (result != CKR_OK) unusable(file_, "it does not list its slots (" + name_of(result) + ")");
  slots.resize(count);

  std::vector<Token> found;
  const std::string version = std::to_string(library.libraryVersion.major) + "." +
                              std::to_string(library.libraryVersion.minor);
  if (!agrees(uri.library_manufacturer, text_of(library.manufacturerID)) ||
      !agrees(uri.library_description, text_of(library.libraryDescription)) ||
      !agrees(uri.library_version, version)) {
    return found;
  }
  for (const CK_SLOT_ID slot : slots) {
    CK_SLOT_INFO place{};
    CK_TOKEN_INFO info{};
    // One that was taken out just now is not there.
    if (functions_->C_GetSlotInfo(slot, &place) != CKR_OK ||
        functions_->C_GetTokenInfo(slot, &info) != CKR_OK ||
        (info.flags & CKF_TOKEN_INITIALIZED) == 0) {
      continue;
    }
    Token token{slot,
                text_of(info.label),
                text_of(info.manufacturerID),
                text_of(info.serialNumber),
                text_of(info.model),
                info.flags,
                (place.flags & CKF_HW_SLOT) != 0};
    const bool meant = agrees(uri.token, token.label) &&
                       agrees(uri.manufacturer, token.manufacturer) &&
                       agrees(uri.serial, token.serial) && agrees(uri.model, token.model) &&
                       (!uri.slot_id || *uri.slot_id == slot) &&
                       agrees(uri.slot_description, text_of(place.slotDescription)) &&
                       agrees(uri.slot_manufacturer, text_of(place.manufacturerID));
    if (meant) found.push_back(std::move(token));
  }
  return found;
}

CK_FLAGS Module::token_flags(CK_SLOT_ID slot) {
  CK_TOKEN_INFO info{};
  return functions_->C_GetTokenInfo(slot, &info) == CKR_OK ? info.flags : 0;
}

void Module::refuse_login(const std::string& serial) {
  const std::lock_guard guard(registry_mutex);
  refused_logins.emplace(file_, serial);
}

bool Module::login_was_refused(const std::string& serial) const {
  const std::lock_guard guard(registry_mutex);
  return refused_logins.contains({file_, serial});
}

}  // namespace driveprep::keywrap::pkcs11
