/* Preloaded into the gateway: listing the folder that HANG_IN names takes until somebody opens the pipe
 * HANG_UNTIL to write, as on a disk that does not answer. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

DIR *opendir(const char *name) {
    DIR *(*real)(const char *) = dlsym(RTLD_NEXT, "opendir");
    const char *folder = getenv("HANG_IN");
    if (folder && strcmp(name, folder) == 0)
        close(open(getenv("HANG_UNTIL"), O_RDONLY | O_CLOEXEC));
    return real(name);
}
