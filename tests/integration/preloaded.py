"""Libraries between program and system: a resolver of names, a clock and a disk that obey a test."""

import os
import subprocess

import harness

NAMES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* NAMES is a list of host=code; 0 leads to this machine. Other hosts do not exist. */
int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints,
                struct addrinfo** found) {
  int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
  const char* names = getenv("NAMES");
  const char* at;
  char wanted[300];
  int code;
  *(void**)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  if (node == NULL || strcmp(node, "127.0.0.1") == 0) return real(node, service, hints, found);
  snprintf(wanted, sizeof wanted, " %s=", node);
  at = names == NULL ? NULL : strstr(names, wanted);
  if (at == NULL) return EAI_NONAME;
  code = atoi(at + strlen(wanted));
  return code == 0 ? real("127.0.0.1", service, hints, found) : code;
}
"""

CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* CLOCK is the number of seconds that the clock on the wall is ahead. */
static long ahead(void) {
  const char* text = getenv("CLOCK");
  return text == NULL ? 0 : atol(text);
}
int clock_gettime(clockid_t clock, struct timespec* now) {
  int (*real)(clockid_t, struct timespec*);
  int result;
  *(void**)&real = dlsym(RTLD_NEXT, "clock_gettime");
  result = real(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += ahead();
  return result;
}
time_t time(time_t* kept) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (kept != NULL) *kept = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval* now, void* zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}
"""

WRITES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* The write number WRITES_AT to the file or disk WRITES_TO goes wrong: "fail" (nothing reaches it, this one
   and all later ones are refused), "head" and "tail" (half of its sectors do, then the same),
   "drop" (nothing does, and success is told). Each is listed in WRITES_LOG. */
static atomic_long count;
static atomic_int broken;
static int meant(int fd) {
  struct stat one, other;
  const char* path = getenv("WRITES_TO");
  return path != NULL && fstat(fd, &one) == 0 && stat(path, &other) == 0 &&
         one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}
static ssize_t real(int fd, const void* data, size_t length, off_t offset) {
  static ssize_t (*next)(int, const void*, size_t, off_t);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "pwrite");
  return next(fd, data, length, offset);
}
static ssize_t faulty(int fd, const char* data, size_t length, off_t offset) {
  const char* fault = getenv("WRITES_FAULT");
  long number = atomic_fetch_add(&count, 1);
  size_t half = length / 2 / 512 * 512;
  int log = open(getenv("WRITES_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
  dprintf(log, "%ld %lld %zu\\n", number, (long long)offset, length);
  close(log);
  if (number == atol(getenv("WRITES_AT"))) {
    if (strcmp(fault, "drop") == 0) return (ssize_t)length;
    if (strcmp(fault, "head") == 0) real(fd, data, half, offset);
    if (strcmp(fault, "tail") == 0) real(fd, data + half, length - half, offset + (off_t)half);
    broken = 1;
  }
  if (broken) {
    errno = EIO;
    return -1;
  }
  return real(fd, data, length, offset);
}
ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  return meant(fd) ? faulty(fd, data, length, offset) : real(fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t length, off_t offset) {
  return pwrite(fd, data, length, offset);
}
ssize_t write(int fd, const void* data, size_t length) {
  static ssize_t (*next)(int, const void*, size_t);
  off_t offset;
  ssize_t done;
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "write");
  if (!meant(fd)) return next(fd, data, length);
  offset = lseek(fd, 0, SEEK_CUR);
  done = faulty(fd, data, length, offset);
  if (done > 0) lseek(fd, offset + done, SEEK_SET);
  return done;
}
"""

READS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
/* What lies at the byte READS_AT of the file or disk READS_OF cannot be read before it is written. */
static int healed;
static int meets(int fd, size_t length, off_t offset) {
  struct stat one, other;
  const char* path = getenv("READS_OF");
  off_t at = atoll(getenv("READS_AT"));
  return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino &&
         one.st_dev == other.st_dev && offset <= at && at < offset + (off_t)length;
}
ssize_t pread(int fd, void* data, size_t length, off_t offset) {
  static ssize_t (*next)(int, void*, size_t, off_t);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "pread");
  if (!healed && meets(fd, length, offset)) {
    errno = EIO;
    return -1;
  }
  return next(fd, data, length, offset);
}
ssize_t pread64(int fd, void* data, size_t length, off_t offset) {
  return pread(fd, data, length, offset);
}
ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  static ssize_t (*next)(int, const void*, size_t, off_t);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "pwrite");
  if (meets(fd, length, offset)) healed = 1;
  return next(fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t length, off_t offset) {
  return pwrite(fd, data, length, offset);
}
"""


class Preloaded:
    """Compiles the sources once for an environment; skips the test without a compiler."""

    def __init__(self, env):
        self.env = env

    def library(self, name, source):
        path = self.env.path(name + ".so")
        if not os.path.exists(path):
            harness.need("cc")
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, "-x", "c", "-", "-ldl"],
                           input=source.encode(), check=True)
        # An instrumented program wants its own library in front.
        options = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": path, "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}

    def names(self, codes=None):
        """The environment in which these hosts have these results of getaddrinfo, and no other host
        exists; 0 is this machine."""
        listed = "".join(f" {name}={int(code)}" for name, code in (codes or {}).items())
        return {**self.library("names", NAMES), "NAMES": listed}

    def clock(self, ahead):
        """The environment in which the clock is so many seconds ahead."""
        return {**self.library("clock", CLOCK), "CLOCK": str(int(ahead))}

    def writes(self, path, number, fault, log):
        """The environment in which this write to the file goes wrong; WRITES has the faults."""
        return {**self.library("writes", WRITES), "WRITES_TO": path, "WRITES_AT": str(number),
                "WRITES_FAULT": fault, "WRITES_LOG": log}

    def unreadable(self, path, offset):
        """The environment in which a place of the file cannot be read before it is written."""
        return {**self.library("reads", READS), "READS_OF": path, "READS_AT": str(offset)}
