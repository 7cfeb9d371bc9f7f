"""A wall clock that is wrong by some seconds, for one process and its children."""

import shutil
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long skew(void) {
    const char *text = getenv("SKEW_S");
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, found);
    if (!status && clock == CLOCK_REALTIME) found->tv_sec += skew();
    return status;
}

int gettimeofday(struct timeval *found, void *zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int status = real(found, zone);
    if (!status) found->tv_sec += skew();
    return status;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
"""


class NoCompiler(Exception):
    """There is none here."""


def prefix_of(folder: Path, *, skew_s: int) -> tuple[str, ...]:
    """Return what to put before a command.

    Raises: NoCompiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler
    library = folder / "skewed_clock.so"
    if not library.exists():
        source = folder / "skewed_clock.c"
        source.write_text(SOURCE)
        command = [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"]
        subprocess.run(command, check=True)
    return ("env", f"LD_PRELOAD={library}", f"SKEW_S={skew_s}")
