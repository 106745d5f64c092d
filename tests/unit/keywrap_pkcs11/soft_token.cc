#include "tests/unit/keywrap_pkcs11/soft_token.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "keywrap/pkcs11/module.h"

namespace driveprep::keywrap::pkcs11 {
namespace {

namespace fs = std::filesystem;

// SoftHSM reads its configuration once a process.
const fs::path& configuration() {
  static const test::ScratchDirectory directory;
  static const fs::path file = [] {
    fs::create_directory(directory / "tokens");
    const std::string text = "directories.tokendir = " + (directory / "tokens").string() +
                             "\nobjectstore.backend = file\nlog.level = ERROR\n";
    auto made = directory.file("softhsm2.conf", as_bytes(text));
    ::setenv("SOFTHSM2_CONF", made.c_str(), 1);
    return made;
  }();
  return file;
}

void check(CK_RV result, const char* what) {
  INFO(what << ": " << name_of(result));
  REQUIRE(result == CKR_OK);
}

}  // namespace

fs::path soft_module() {
  for (const char* file :
       {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"}) {
    if (fs::exists(file) && !test::program("softhsm2-util").empty()) return file;
  }
  return {};
}

// Logged in, and allowed to write.
class SoftToken::Session {
 public:
  explicit Session(const SoftToken& token)
      : module_(Module::load(soft_module())), call_(module_->functions()) {
    const std::vector<Token> tokens = module_->tokens(token.uri());
    REQUIRE(tokens.size() == 1);
    check(call_.C_OpenSession(tokens[0].slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                              &handle_),
          "open");
    Bytes pin(as_bytes(kPin).begin(), as_bytes(kPin).end());
    const CK_RV result = call_.C_Login(handle_, CKU_USER, uchars(MutableByteView(pin)), pin.size());
    if (result != CKR_USER_ALREADY_LOGGED_IN) check(result, "log in");
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { call_.C_CloseSession(handle_); }

  CK_FUNCTION_LIST& call() { return call_; }
  CK_SESSION_HANDLE handle() const { return handle_; }

  CK_OBJECT_HANDLE find(CK_OBJECT_CLASS object_class, Bytes id) {
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &object_class, sizeof object_class},
                             {CKA_ID, id.data(), id.size()}};
    check(call_.C_FindObjectsInit(handle_, wanted, 2), "find");
    CK_OBJECT_HANDLE found[2] = {};
    CK_ULONG count = 0;
    check(call_.C_FindObjects(handle_, found, 2, &count), "find");
    call_.C_FindObjectsFinal(handle_);
    REQUIRE(count == 1);
    return found[0];
  }

 private:
  std::shared_ptr<Module> module_;
  CK_FUNCTION_LIST& call_;
  CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;
};

// By calls: SoftHSM does not see the tokens that other processes have made since it began.
SoftToken::SoftToken() {
  static int number = 0;
  label_ = "Test token #" + std::to_string(++number);
  (void)configuration();
  CK_FUNCTION_LIST& call = Module::load(soft_module())->functions();
  CK_ULONG count = 0;
  check(call.C_GetSlotList(CK_TRUE, nullptr, &count), "count slots");
  std::vector<CK_SLOT_ID> slots(count);
  check(call.C_GetSlotList(CK_TRUE, slots.data(), &count), "list slots");
  const auto free_slot = std::ranges::find_if(slots, [&call](CK_SLOT_ID slot) {
    CK_TOKEN_INFO info{};
    return call.C_GetTokenInfo(slot, &info) == CKR_OK && (info.flags & CKF_TOKEN_INITIALIZED) == 0;
  });
  REQUIRE(free_slot != slots.end());
  std::string padded = label_ + std::string(32 - label_.size(), ' ');
  std::string so_pin = "so-pin-0";
  std::string pin(kPin);
  const auto chars = [](std::string& text) {
    return uchars(std::as_writable_bytes(std::span(text)));
  };
  check(call.C_InitToken(*free_slot, chars(so_pin), so_pin.size(), chars(padded)), "init token");
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  check(call.C_OpenSession(*free_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                           &session),
        "open");
  check(call.C_Login(session, CKU_SO, chars(so_pin), so_pin.size()), "log in");
  check(call.C_InitPIN(session, chars(pin), pin.size()), "init PIN");
  check(call.C_CloseSession(session), "close");
}

std::string SoftToken::run(const std::string& name,
                           const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"SOFTHSM2_CONF=" + configuration().string(), test::program(name)};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const SubprocessResult result = run_subprocess(test::program("env"), all);
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
  return result.output;
}

fs::path SoftToken::pin_file(std::string_view content) const {
  static int number = 0;
  return files_.file("pin-" + std::to_string(++number), as_bytes(content));
}

Pkcs11Uri SoftToken::uri() const {
  Pkcs11Uri uri;
  uri.token = label_;
  uri.module_path = soft_module();
  return uri;
}

Pkcs11KeyStore::Options SoftToken::options(Clock clock) const {
  Pkcs11KeyStore::Options options;
  options.uri = uri();
  options.uri.pin_source = pin_file(std::string(kPin) + "\n");
  options.clock = std::move(clock);
  return options;
}

void SoftToken::make_pair(const std::string& object, const Bytes& id) const {
  Session session(*this);
  std::string label = object;
  Bytes name = id;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_ULONG bits = 2048;
  unsigned char exponent[] = {1, 0, 1};
  CK_ATTRIBUTE shown[] = {{CKA_TOKEN, &yes, sizeof yes},
                          {CKA_LABEL, label.data(), label.size()},
                          {CKA_ID, name.data(), name.size()},
                          {CKA_MODULUS_BITS, &bits, sizeof bits},
                          {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent},
                          {CKA_ENCRYPT, &yes, sizeof yes}};
  CK_ATTRIBUTE secret[] = {
      {CKA_TOKEN, &yes, sizeof yes},           {CKA_PRIVATE, &yes, sizeof yes},
      {CKA_SENSITIVE, &yes, sizeof yes},       {CKA_EXTRACTABLE, &no, sizeof no},
      {CKA_LABEL, label.data(), label.size()}, {CKA_ID, name.data(), name.size()},
      {CKA_DECRYPT, &yes, sizeof yes}};
  CK_MECHANISM mechanism{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made[2] = {};
  check(session.call().C_GenerateKeyPair(session.handle(), &mechanism, shown, std::size(shown),
                                         secret, std::size(secret), &made[0], &made[1]),
        "generate");
}

void SoftToken::set(CK_OBJECT_CLASS object_class, const Bytes& id, CK_ATTRIBUTE_TYPE type,
                    const Bytes& value) const {
  Session session(*this);
  Bytes copy = value;
  CK_ATTRIBUTE attribute{type, copy.data(), copy.size()};
  check(session.call().C_SetAttributeValue(session.handle(), session.find(object_class, id),
                                           &attribute, 1),
        "set");
}

void SoftToken::set_flag(CK_OBJECT_CLASS object_class, const Bytes& id, CK_ATTRIBUTE_TYPE type,
                         bool value) const {
  set(object_class, id, type, Bytes(1, value ? std::byte{CK_TRUE} : std::byte{CK_FALSE}));
}

void SoftToken::remove(CK_OBJECT_CLASS object_class, const Bytes& id) const {
  Session session(*this);
  check(session.call().C_DestroyObject(session.handle(), session.find(object_class, id)), "remove");
}

}  // namespace driveprep::keywrap::pkcs11
