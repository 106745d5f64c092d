#include "agent/volume/key_input.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/inherited_descriptors.h"
#include "base/posix.h"
#include "base/system_error.h"
#include "base/unique_fd.h"

namespace driveprep::volume {
namespace {

constexpr std::size_t kLargestKey = 4096;
constexpr std::ptrdiff_t kNearlyRecoveryDigits = 40;  // of 48

Error key_file_error(const std::string& name, const std::string& why) {
  return Error(ErrorKind::kKey, "key-file", "the key in " + name + " cannot be used: " + why,
               "Name a file that holds the key and nothing else, or - for standard input.");
}

SecretBytes read_all(int fd, const std::string& name) {
  SecretBytes key(kLargestKey + 1);
  try {
    key.truncate(posix::read_up_to(fd, key.span(), name, ErrorKind::kKey));
  } catch (const SystemError& error) {
    throw key_file_error(name, std::strerror(error.number()));
  }
  if (key.size() > kLargestKey) throw key_file_error(name, "it has more than 4096 bytes");
  if (key.empty()) throw key_file_error(name, "it is empty");
  return key;
}

constexpr char kCtrlC = 3;

// The terminal does not show what is typed as long as this lives. Ctrl-C ends the line and is read
// like any other character: a signal would end the program and leave the terminal silent.
class NoEcho {
 public:
  explicit NoEcho(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
    silent.c_lflag |= ECHONL;
    silent.c_cc[VEOL] = kCtrlC;
    changed_ = ::tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  ~NoEcho() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  bool works() const { return changed_; }

 private:
  int fd_;
  termios before_{};
  bool changed_ = false;
};

}  // namespace

SecretBytes read_key_file(const std::filesystem::path& path) {
  if (path == "-") return read_all(STDIN_FILENO, "standard input");
  const std::optional<int> descriptor = descriptor_named(path);
  if (descriptor && !is_inherited(*descriptor)) {
    throw key_file_error(path.string(), "driveprep was started without this descriptor");
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) throw key_file_error(path.string(), std::strerror(errno));
  return read_all(fd.get(), path.string());
}

void drop_line_end(SecretBytes& text) {
  std::string_view left = text.text();
  if (left.ends_with('\n')) left.remove_suffix(1);
  if (left.size() < text.size() && left.ends_with('\r')) left.remove_suffix(1);
  text.truncate(left.size());
}

SecretBytes read_key_text(const std::filesystem::path& path) {
  SecretBytes text = read_key_file(path);
  drop_line_end(text);
  if (text.empty()) throw key_file_error(path.string(), "it is an empty line");
  return text;
}

bitlocker::RecoveryPassword read_recovery_password(const std::filesystem::path& path) {
  return bitlocker::RecoveryPassword::parse(read_key_text(path).text());
}

SecretBytes ask_secret(const std::string& question) {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.valid()) {
    throw Error(
        ErrorKind::kUsage, "key-missing", "no key was given, and there is no terminal to ask",
        "Give --recovery-password-file, --password-file, --bek-file, or --job and --drive.");
  }
  const NoEcho no_echo(terminal.get());
  if (!no_echo.works()) {
    throw Error(ErrorKind::kUsage, "key-missing", "the terminal cannot hide what is typed",
                "Give the key in a file.");
  }
  posix::write_all(terminal.get(), as_bytes(question), "the terminal", ErrorKind::kWrite);
  SecretBytes typed(kLargestKey);
  std::size_t length = 0;
  while (length < typed.size()) {
    const ssize_t count = ::read(terminal.get(), typed.span().data() + length, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || typed.text()[length] == '\n') break;
    if (typed.text()[length] == kCtrlC) {
      length = 0;
      break;
    }
    ++length;
  }
  typed.truncate(length);
  if (typed.empty()) {
    throw Error(ErrorKind::kNotConfirmed, "key-not-given", "no key was typed",
                "Run the command again and type the key, or give it in a file.");
  }
  return typed;
}

bitlocker::Credential credential_from_typed(SecretBytes typed) {
  const std::string_view text = typed.text();
  const std::ptrdiff_t digits =
      std::ranges::count_if(text, [](char c) { return c >= '0' && c <= '9'; });
  const bool others = std::ranges::any_of(
      text, [](char c) { return (c < '0' || c > '9') && c != '-' && c != ' ' && c != '\t'; });
  // One digit too few or too many is no password: it would only be told not to open.
  if (!others && digits >= kNearlyRecoveryDigits) return bitlocker::RecoveryPassword::parse(text);
  return bitlocker::PasswordCredential{std::move(typed)};
}

}  // namespace driveprep::volume
