/* Records every call that changes the files below a folder, and lets chosen calls fail.

Preloaded into a Python process by tests/crash/calls.py, which describes the records and the
functions at the end of this file. All processes that share DISK_CALLS_LOG write to one log, each
record in the order in which the kernel carried the calls out: a lock in a shared page is held
around call and record. SQLite's calls come by here as well; only writes through mmap do not.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, CREATE = 2, WRITE = 4, SYNC = 8, NAME = 16, REMOVE = 32, CHANGE = 64, READ = 128 };

struct record {
    uint32_t size;
    char op;
    uint8_t unused;
    uint16_t name_bytes, other_name_bytes, unused_too;
    uint32_t data_bytes;
    uint64_t inode, folder, other_folder, replaced;
    int64_t offset;
};

#define REAL(name, type, ...)                                                  \
    static type (*real)(__VA_ARGS__);                                          \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static char root[4096];
static size_t root_length;
static int log_fd = -1, recording, failing_error, failing_kinds, failing_on;
static long failing_at, calls;
static char failed[8192];
static pthread_mutex_t *order;
static __thread int held;

static ssize_t raw_write(int fd, const void *bytes, size_t size) {
    REAL(write, ssize_t, int, const void *, size_t);
    return real(fd, bytes, size);
}

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("DISK_CALLS_LOG"), *folder = getenv("DISK_CALLS_ROOT");
    if (!log || !folder) return;
    int (*open_file)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    char name[4096];
    snprintf(name, sizeof name, "%s.lock", log);
    int fd = open_file(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) abort();
    int is_new = status.st_size == 0;
    if (is_new && truncate(name, 4096)) abort();
    order = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (order == MAP_FAILED) abort();
    if (is_new) {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(order, &attributes);
    }
    log_fd = open_file(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    recording = 1;
}

static void take(void) {
    if (held++ || !order) return;
    if (pthread_mutex_lock(order) == EOWNERDEAD) pthread_mutex_consistent(order);
}

static void give_back(void) {
    int error = errno;
    if (!--held && order) pthread_mutex_unlock(order);
    errno = error;
}

static int is_below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int fd_is_below(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int is_watched(int folder, const char *path) {
    int error = errno, below;
    if (!root_length || !path) return 0;
    below = path[0] == '/' ? is_below(path) : folder != AT_FDCWD && fd_is_below(folder);
    errno = error;
    return below;
}

static int fd_is_watched(int fd, int any) {
    struct stat status;
    int error = errno, watched = 0;
    if (root_length && !fstat(fd, &status) && (S_ISREG(status.st_mode) || (any && S_ISDIR(status.st_mode))))
        watched = fd_is_below(fd);
    errno = error;
    return watched;
}

/* Tells whether this call is to fail; the lock is held. */
static int fails(enum kind kind, const char *call, int fd, const char *path) {
    if (!(failing_kinds & kind)) return 0;
    calls++;
    if (!failing_at || calls < failing_at || (calls > failing_at && !failing_on)) return 0;
    if (calls == failing_at) {
        char link[64], target[4096] = "";
        if (!path || path[0] != '/') {
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            if (readlink(link, target, sizeof target - 1) < 0) target[0] = 0;
        }
        snprintf(failed, sizeof failed, "%s(%s%s%s)", call, target, path && target[0] ? "/" : "", path ? path : "");
    }
    errno = failing_error;
    return 1;
}

static const char *last(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static uint64_t inode_of(int folder, const char *path, int flags) {
    struct stat status;
    return fstatat(folder, path, &status, flags) ? 0 : status.st_ino;
}

static uint64_t parent_of(int folder, const char *path) {
    char parent[4096];
    size_t length = last(path) - path;
    if (!length) return folder == AT_FDCWD ? inode_of(folder, ".", 0) : inode_of(folder, "", AT_EMPTY_PATH);
    memcpy(parent, path, length);
    parent[length] = 0;
    return inode_of(folder, parent, 0);
}

static void put(struct record head, const char *name, const char *other, const struct iovec *parts, int count) {
    if (!recording || log_fd < 0) return;
    int error = errno;
    size_t left = head.data_bytes;
    head.name_bytes = name ? strlen(name) : 0;
    head.other_name_bytes = other ? strlen(other) : 0;
    head.size = sizeof head + head.name_bytes + head.other_name_bytes + head.data_bytes;
    char *whole = malloc(head.size), *at = whole;
    at = mempcpy(at, &head, sizeof head);
    at = mempcpy(at, name ? name : "", head.name_bytes);
    at = mempcpy(at, other ? other : "", head.other_name_bytes);
    for (int i = 0; i < count && left; i++) {
        size_t some = parts[i].iov_len < left ? parts[i].iov_len : left;
        at = mempcpy(at, parts[i].iov_base, some);
        left -= some;
    }
    if (raw_write(log_fd, whole, head.size) != (ssize_t)head.size) abort();
    free(whole);
    errno = error;
}

/* Opening */

static int opened(int (*real)(int, const char *, int, ...), int folder, const char *path, int flags, mode_t mode) {
    if (!is_watched(folder, path)) return real(folder, path, flags, mode);
    int error = errno;
    take();
    struct stat before;
    int existed = !fstatat(folder, path, &before, (flags & O_NOFOLLOW) ? AT_SYMLINK_NOFOLLOW : 0);
    int unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    errno = error;
    int creates = (flags & O_CREAT && !existed) || unnamed, fd = -1;
    if (!fails(creates ? CREATE : OPEN, "open", folder, path)) fd = real(folder, path, flags, mode);
    if (fd >= 0 && creates) {
        struct record head = {.op = 'c', .inode = inode_of(fd, "", AT_EMPTY_PATH)};
        head.folder = unnamed ? 0 : parent_of(folder, path);
        put(head, unnamed ? "" : last(path), NULL, NULL, 0);
    } else if (fd >= 0 && flags & O_TRUNC && before.st_size) {
        struct record head = {.op = 't', .inode = before.st_ino};
        put(head, NULL, NULL, NULL, 0);
    }
    give_back();
    return fd;
}

static int (*real_openat(void))(int, const char *, int, ...) {
    REAL(openat64, int, int, const char *, int, ...);
    return real;
}

#define MODE()                                                                 \
    mode_t mode = 0;                                                           \
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                 \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode = va_arg(rest, mode_t);                                           \
        va_end(rest);                                                          \
    }
int open(const char *path, int flags, ...) { MODE() return opened(real_openat(), AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE() return opened(real_openat(), AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE() return opened(real_openat(), folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE() return opened(real_openat(), folder, path, flags, mode); }
int __open_2(const char *path, int flags) { return opened(real_openat(), AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(real_openat(), AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char *path, int flags) { return opened(real_openat(), folder, path, flags, 0); }
int __openat64_2(int folder, const char *path, int flags) { return opened(real_openat(), folder, path, flags, 0); }

int mknod(const char *path, mode_t mode, dev_t device) {
    REAL(mknod, int, const char *, mode_t, dev_t);
    if (!is_watched(AT_FDCWD, path)) return real(path, mode, device);
    take();
    int result = fails(CREATE, "mknod", AT_FDCWD, path) ? -1 : real(path, mode, device);
    if (!result) {
        struct record head = {.op = 'c', .folder = parent_of(AT_FDCWD, path)};
        head.inode = inode_of(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
        put(head, last(path), NULL, NULL, 0);
    }
    give_back();
    return result;
}

/* Content */

static off_t place(int fd) {
    struct stat status;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &status) ? 0 : status.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static void put_written(int fd, off_t offset, ssize_t done, const struct iovec *parts, int count) {
    if (done <= 0) return;
    struct record head = {.op = 'w', .inode = inode_of(fd, "", AT_EMPTY_PATH), .offset = offset, .data_bytes = done};
    put(head, NULL, NULL, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    if (!fd_is_watched(fd, 0)) return raw_write(fd, bytes, size);
    take();
    ssize_t done = -1;
    if (!fails(WRITE, "write", fd, NULL)) {
        off_t offset = place(fd);
        struct iovec part = {(void *)bytes, size};
        put_written(fd, offset, done = raw_write(fd, bytes, size), &part, 1);
    }
    give_back();
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev, ssize_t, int, const struct iovec *, int);
    if (!fd_is_watched(fd, 0)) return real(fd, parts, count);
    take();
    ssize_t done = -1;
    if (!fails(WRITE, "writev", fd, NULL)) {
        off_t offset = place(fd);
        put_written(fd, offset, done = real(fd, parts, count), parts, count);
    }
    give_back();
    return done;
}

static ssize_t written_at(int fd, const void *bytes, size_t size, off64_t offset) {
    REAL(pwrite64, ssize_t, int, const void *, size_t, off64_t);
    if (!fd_is_watched(fd, 0)) return real(fd, bytes, size, offset);
    take();
    ssize_t done = -1;
    struct iovec part = {(void *)bytes, size};
    if (!fails(WRITE, "pwrite", fd, NULL)) put_written(fd, offset, done = real(fd, bytes, size, offset), &part, 1);
    give_back();
    return done;
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { return written_at(fd, bytes, size, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) { return written_at(fd, bytes, size, offset); }

/* Copies inside the kernel are made here, so that what is copied can be recorded. */
static ssize_t copied(int from, off64_t *offset, int to, size_t size) {
    char bytes[65536];
    if (size > sizeof bytes) size = sizeof bytes;
    ssize_t done = offset ? pread64(from, bytes, size, *offset) : read(from, bytes, size);
    if (done > 0) done = write(to, bytes, done);
    if (done > 0 && offset) *offset += done;
    return done;
}
ssize_t copy_file_range(int from, off64_t *offset, int to, off64_t *to_offset, size_t size, unsigned flags) {
    REAL(copy_file_range, ssize_t, int, off64_t *, int, off64_t *, size_t, unsigned);
    if (to_offset || !fd_is_watched(to, 0)) return real(from, offset, to, to_offset, size, flags);
    return copied(from, offset, to, size);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    REAL(sendfile, ssize_t, int, int, off_t *, size_t);
    return fd_is_watched(to, 0) ? copied(from, offset, to, size) : real(to, from, offset, size);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    REAL(sendfile64, ssize_t, int, int, off64_t *, size_t);
    return fd_is_watched(to, 0) ? copied(from, offset, to, size) : real(to, from, offset, size);
}

static int cut(int fd, off64_t size) {
    REAL(ftruncate64, int, int, off64_t);
    if (!fd_is_watched(fd, 0)) return real(fd, size);
    take();
    int result = fails(CHANGE, "ftruncate", fd, NULL) ? -1 : real(fd, size);
    struct record head = {.op = 't', .inode = inode_of(fd, "", AT_EMPTY_PATH), .offset = size};
    if (!result) put(head, NULL, NULL, NULL, 0);
    give_back();
    return result;
}
int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

static int flushed(int (*real)(int), const char *call, int fd) {
    if (!fd_is_watched(fd, 1)) return real(fd);
    take();
    int result = fails(SYNC, call, fd, NULL) ? -1 : real(fd);
    struct record head = {.op = result ? 'e' : 's', .inode = inode_of(fd, "", AT_EMPTY_PATH)};
    put(head, NULL, NULL, NULL, 0);
    give_back();
    return result;
}
int fsync(int fd) { REAL(fsync, int, int); return flushed(real, "fsync", fd); }
int fdatasync(int fd) { REAL(fdatasync, int, int); return flushed(real, "fdatasync", fd); }

/* Reading can fail, and is not recorded. */

static int read_fails(int fd, const char *call) {
    if (!(failing_kinds & READ) || !fd_is_watched(fd, 0)) return 0;
    take();
    int result = fails(READ, call, fd, NULL);
    give_back();
    return result;
}
ssize_t read(int fd, void *bytes, size_t size) {
    REAL(read, ssize_t, int, void *, size_t);
    return read_fails(fd, "read") ? -1 : real(fd, bytes, size);
}
ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
    REAL(pread, ssize_t, int, void *, size_t, off_t);
    return read_fails(fd, "pread") ? -1 : real(fd, bytes, size, offset);
}
ssize_t pread64(int fd, void *bytes, size_t size, off64_t offset) {
    REAL(pread64, ssize_t, int, void *, size_t, off64_t);
    return read_fails(fd, "pread") ? -1 : real(fd, bytes, size, offset);
}

/* Names */

static int made_folder(int folder, const char *path, mode_t mode) {
    REAL(mkdirat, int, int, const char *, mode_t);
    if (!is_watched(folder, path)) return real(folder, path, mode);
    take();
    int result = fails(NAME, "mkdir", folder, path) ? -1 : real(folder, path, mode);
    if (!result) {
        struct record head = {.op = 'd', .inode = inode_of(folder, path, 0), .folder = parent_of(folder, path)};
        put(head, last(path), NULL, NULL, 0);
    }
    give_back();
    return result;
}
int mkdir(const char *path, mode_t mode) { return made_folder(AT_FDCWD, path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return made_folder(folder, path, mode); }

static int linked(int folder, const char *path, int other, const char *to, int flags) {
    REAL(linkat, int, int, const char *, int, const char *, int);
    if (!is_watched(other, to)) return real(folder, path, other, to, flags);
    take();
    int result = fails(NAME, "link", other, to) ? -1 : real(folder, path, other, to, flags);
    if (!result) {
        struct record head = {.op = 'l', .folder = parent_of(other, to)};
        head.inode = inode_of(other, to, AT_SYMLINK_NOFOLLOW);
        put(head, last(to), NULL, NULL, 0);
    }
    give_back();
    return result;
}
int link(const char *path, const char *to) { return linked(AT_FDCWD, path, AT_FDCWD, to, 0); }
int linkat(int folder, const char *path, int other, const char *to, int flags) { return linked(folder, path, other, to, flags); }

static int renamed(int folder, const char *path, int other, const char *to, unsigned flags) {
    REAL(renameat2, int, int, const char *, int, const char *, unsigned);
    if (!is_watched(folder, path) && !is_watched(other, to)) return real(folder, path, other, to, flags);
    take();
    struct record head = {.op = flags & 2 ? 'x' : 'r', .folder = parent_of(folder, path), .other_folder = parent_of(other, to)};
    head.inode = inode_of(folder, path, AT_SYMLINK_NOFOLLOW);
    head.replaced = inode_of(other, to, AT_SYMLINK_NOFOLLOW);
    int result = fails(NAME, "rename", other, to) ? -1 : real(folder, path, other, to, flags);
    if (!result && head.inode != head.replaced) put(head, last(path), last(to), NULL, 0);
    give_back();
    return result;
}
int rename(const char *path, const char *to) { return renamed(AT_FDCWD, path, AT_FDCWD, to, 0); }
int renameat(int folder, const char *path, int other, const char *to) { return renamed(folder, path, other, to, 0); }
int renameat2(int folder, const char *path, int other, const char *to, unsigned flags) { return renamed(folder, path, other, to, flags); }

static int removed(int folder, const char *path, int flags) {
    REAL(unlinkat, int, int, const char *, int);
    if (!is_watched(folder, path)) return real(folder, path, flags);
    take();
    struct record head = {.op = 'u', .folder = parent_of(folder, path)};
    head.inode = inode_of(folder, path, AT_SYMLINK_NOFOLLOW);
    int result = fails(REMOVE, "unlink", folder, path) ? -1 : real(folder, path, flags);
    if (!result) put(head, last(path), NULL, NULL, 0);
    give_back();
    return result;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return removed(folder, path, flags); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

int fchmod(int fd, mode_t mode) {
    REAL(fchmod, int, int, mode_t);
    if (!(failing_kinds & CHANGE) || !fd_is_watched(fd, 1)) return real(fd, mode);
    take();
    int result = fails(CHANGE, "fchmod", fd, NULL) ? -1 : real(fd, mode);
    give_back();
    return result;
}

/* For Python */

void disk_calls_note(const char *text) {
    struct record head = {.op = 'n'};
    take();
    put(head, text, NULL, NULL, 0);
    give_back();
}

void disk_calls_fail(long at, int error, int kinds, int on) {
    take();
    failing_at = at, failing_error = error, failing_kinds = kinds, failing_on = on, calls = 0, failed[0] = 0;
    give_back();
}

void disk_calls_heal(void) { failing_kinds = 0; }
long disk_calls_counted(void) { return calls; }
const char *disk_calls_failed(void) { return failed; }
void disk_calls_record(int on) { recording = on; }
