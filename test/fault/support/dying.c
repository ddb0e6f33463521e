// Loaded into a daemon (LD_PRELOAD), it sees every call that changes a file below the given places, by whatever thread, in one order; and
// ends the process with SIGKILL right before the one it is told. Told by a shared page: [0] armed, [1] the call to die at (0: none),
// [2] how many there were. Each call is noted as a line in the log. It is no part of the product: the tests compile it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic int *page;
static int log_fd = -1;
static char places[4096];

__attribute__((constructor)) static void begin(void) {
  const char *control = getenv("KITH_DYING_CONTROL"), *log = getenv("KITH_DYING_LOG"), *below = getenv("KITH_DYING_BELOW");
  if (!control || !log || !below) return;
  int fd = open(control, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) return;
  log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  snprintf(places, sizeof places, "%s", below);
  page = at;
}

// Places are absolute and parted by ':'.
static int is_below(const char *path) {
  for (const char *at = places; *at;) {
    size_t length = strcspn(at, ":");
    if (strncmp(path, at, length) == 0 && (path[length] == '/' || path[length] == 0)) return 1;
    at += length + (at[length] == ':');
  }
  return 0;
}

// The path of an open file, or what stands for a path that begins at one.
static void resolve(int fd, const char *path, char *out, size_t size) {
  int rest = 0;
  if (path && sscanf(path, "/proc/self/fd/%d%n", &fd, &rest) != 1) {
    snprintf(out, size, "%s", path);
    return;
  }
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, out, size - 1);
  if (length < 0) length = 0;
  snprintf(out + length, size - length, "%s", path ? path + rest : "");
}

static void called(const char *call, int fd, const char *path) {
  if (!page || !page[0]) return;
  char where[4096], line[4400];
  resolve(fd, path, where, sizeof where);
  if (!is_below(where)) return;
  int count = atomic_fetch_add(&page[2], 1) + 1;
  int dies = page[1] != 0 && count >= page[1];
  int length = snprintf(line, sizeof line, "%s %s\n", call, where);
  syscall(SYS_write, log_fd, line, length);
  if (dies)
    for (;;) kill(getpid(), SIGKILL);
}

#define NEXT(name) \
  static __typeof__(name) *next; \
  if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define BY_FD(type, name, parameters, arguments) \
  type name parameters { NEXT(name); called(#name, fd, NULL); return next arguments; }
#define BY_PATH(type, name, parameters, arguments, path) \
  type name parameters { NEXT(name); called(#name, -1, path); return next arguments; }
#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    NEXT(name); \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    if (flags & (O_CREAT | O_TRUNC)) called(#name, -1, path); \
    return next(path, flags, mode); }

OPEN(open)
OPEN(open64)
BY_FD(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
BY_FD(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
BY_FD(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
BY_FD(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))
BY_FD(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
BY_FD(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
BY_FD(ssize_t, sendfile64, (int fd, int from, off64_t *at, size_t size), (fd, from, at, size))
BY_FD(int, fsync, (int fd), (fd))
BY_FD(int, fdatasync, (int fd), (fd))
BY_FD(int, ftruncate, (int fd, off_t size), (fd, size))
BY_FD(int, ftruncate64, (int fd, off64_t size), (fd, size))
BY_FD(int, fchmod, (int fd, mode_t mode), (fd, mode))
BY_FD(int, futimens, (int fd, const struct timespec times[2]), (fd, times))
BY_PATH(int, rename, (const char *from, const char *to), (from, to), to)
BY_PATH(int, link, (const char *from, const char *to), (from, to), to)
BY_PATH(int, symlink, (const char *target, const char *path), (target, path), path)
BY_PATH(int, unlink, (const char *path), (path), path)
BY_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), path)
BY_PATH(int, rmdir, (const char *path), (path), path)
BY_PATH(int, chmod, (const char *path, mode_t mode), (path, mode), path)

int utimensat(int directory, const char *path, const struct timespec times[2], int flags) {
  NEXT(utimensat);
  called("utimensat", directory, path);
  return next(directory, path, times, flags);
}

ssize_t copy_file_range(int from, off64_t *from_at, int fd, off64_t *at, size_t size, unsigned flags) {
  NEXT(copy_file_range);
  called("copy_file_range", fd, NULL);
  return next(from, from_at, fd, at, size, flags);
}

// LevelDB writes through stdio, whose own calls are not seen: a write is where its buffer goes to the file.
static void flushed(FILE *file, size_t more) {
  size_t waiting = __fpending(file) + more;
  if (waiting > 0 && (more == 0 || waiting > __fbufsize(file))) called("write", fileno(file), NULL);
}

#undef fwrite_unlocked
size_t fwrite_unlocked(const void *bytes, size_t size, size_t count, FILE *file) {
  NEXT(fwrite_unlocked);
  flushed(file, size * count);
  return next(bytes, size, count, file);
}

int fflush_unlocked(FILE *file) {
  NEXT(fflush_unlocked);
  if (file) flushed(file, 0);
  return next(file);
}

int fclose(FILE *file) {
  NEXT(fclose);
  flushed(file, 0);
  return next(file);
}
