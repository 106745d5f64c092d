"""Libraries between program and system: a resolver of names and a clock that obey a test."""

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
