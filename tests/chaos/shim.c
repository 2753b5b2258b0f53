/* Preloaded into the gateway: steps its wall clock and slows its fsync down, by what stands in the
 * file that SHIM names. The other direction counts how often that had an effect. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t step;         /* seconds that the wall clock is off */
    uint64_t fsync_delay; /* milliseconds that each fsync takes longer */
    uint64_t shifted;     /* readings of a wall clock that was off */
    uint64_t delayed;     /* fsyncs that took longer */
};

static volatile struct control *control;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    int fd = open(getenv("SHIM"), O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        _exit(70);
    close(fd);
    control = map;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = real_clock_gettime(clock, time);
    if (clock == CLOCK_REALTIME && result == 0 && control && control->step) {
        time->tv_sec += control->step;
        control->shifted++;
    }
    return result;
}

static void delay(void) {
    uint64_t ms = control ? control->fsync_delay : 0;
    if (ms) {
        struct timespec time = {ms / 1000, ms % 1000 * 1000000};
        nanosleep(&time, NULL);
        control->delayed++;
    }
}

int fsync(int fd) {
    delay();
    return real_fsync(fd);
}

int fdatasync(int fd) {
    delay();
    return real_fdatasync(fd);
}
