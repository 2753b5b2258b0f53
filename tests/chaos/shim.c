/* Preloaded into the gateway: steps its wall clock, makes all its time run faster, its fsync and the
 * listing of its journal slower, by what stands in the file that SHIM names. What it does is counted there. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t step;         /* seconds that the wall clock is off */
    uint64_t fsync_delay; /* milliseconds that each fsync takes longer */
    uint64_t shifted;     /* readings of a wall clock that was off */
    uint64_t delayed;     /* fsyncs that took longer */
    uint64_t rate;        /* so many times as fast runs the monotonic clock */
    uint64_t list_delay;  /* milliseconds that listing the journal's folder takes longer */
    uint64_t listed;      /* listings that took longer */
};

static volatile struct control *control;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static long (*real_syscall)(long, ...);
static struct timespec begin;
static int64_t rate = 1;

__attribute__((constructor)) static void start(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_syscall = dlsym(RTLD_NEXT, "syscall");
    real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    int fd = open(getenv("SHIM"), O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        _exit(70);
    close(fd);
    control = map;
    real_clock_gettime(CLOCK_MONOTONIC, &begin);
    rate = control->rate;
}

static int64_t nanoseconds(const struct timespec *time) {
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = real_clock_gettime(clock, time);
    if (clock == CLOCK_REALTIME && result == 0 && control && control->step) {
        time->tv_sec += control->step;
        control->shifted++;
    }
    if (clock == CLOCK_MONOTONIC && result == 0 && rate > 1) {
        int64_t passed = nanoseconds(time) - nanoseconds(&begin);
        int64_t now = nanoseconds(&begin) + passed * rate;
        time->tv_sec = now / 1000000000;
        time->tv_nsec = now % 1000000000;
    }
    return result;
}

/* The gateway's runtimes wait for a time here, its other threads below. */
int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
    if (timeout > 0)
        timeout = timeout < rate ? 1 : timeout / rate;
    return real_epoll_wait(epoll, events, most, timeout);
}

long syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (int n = 0; n < 6; n++)
        a[n] = va_arg(list, long);
    va_end(list);
    struct timespec due;
    int is_wait = number == SYS_futex && (a[1] & ~FUTEX_PRIVATE_FLAG) == FUTEX_WAIT_BITSET;
    if (is_wait && a[3] && rate > 1) {
        int64_t begun = nanoseconds(&begin);
        int64_t real = begun + (nanoseconds((struct timespec *)a[3]) - begun) / rate;
        due = (struct timespec){real / 1000000000, real % 1000000000};
        a[3] = (long)&due;
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void wait_for(uint64_t ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void delay(void) {
    uint64_t ms = control ? control->fsync_delay : 0;
    if (ms) {
        wait_for(ms);
        control->delayed++;
    }
}

DIR *opendir(const char *name) {
    DIR *(*real)(const char *) = dlsym(RTLD_NEXT, "opendir");
    uint64_t ms = control ? control->list_delay : 0;
    if (ms && strstr(name, "journal")) {
        wait_for(ms);
        control->listed++;
    }
    return real(name);
}

int fsync(int fd) {
    delay();
    return real_fsync(fd);
}

int fdatasync(int fd) {
    delay();
    return real_fdatasync(fd);
}
