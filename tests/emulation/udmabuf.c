/* Answers /dev/udmabuf, from which libcamera's virtual camera takes its buffers, where the kernel has none.
 *
 * Preloaded in the emulation root. A buffer is a memfd, which maps and closes as a real one does; what only a real
 * one can do (being handed to hardware, cache synchronisation) nobody asks for there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 64

static int ours[MOST];
static int count;

static int is_ours(int fd) {
    for (int i = 0; i < count; i++)
        if (ours[i] == fd) return 1;
    return 0;
}

static int open_ours(void) {
    int fd = syscall(SYS_memfd_create, "udmabuf", 0);
    if (fd >= 0 && !is_ours(fd) && count < MOST) ours[count++] = fd;
    return fd;
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        static int (*real)(const char *, int, ...);                                 \
        va_list rest;                                                               \
        int mode;                                                                   \
        va_start(rest, flags);                                                      \
        mode = va_arg(rest, int);                                                   \
        va_end(rest);                                                               \
        if (path && !strcmp(path, "/dev/udmabuf")) return open_ours();              \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        return real(path, flags, mode);                                             \
    }

OPEN(open)
OPEN(open64)

int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    va_list rest;
    void *argument;
    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (request == UDMABUF_CREATE && is_ours(fd)) return dup(((struct udmabuf_create *)argument)->memfd);
    if (!real) real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    int result = real(fd, request, argument);
    return request == DMA_BUF_IOCTL_SYNC && result < 0 && errno == ENOTTY ? 0 : result;
}
