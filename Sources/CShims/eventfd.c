#include "updraft_eventfd.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int updraft_eventfd_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int updraft_eventfd_ring(int fd) {
    uint64_t one = 1;
    return write(fd, &one, sizeof one) == (ssize_t)sizeof one ? 0 : -1;
}

void updraft_eventfd_clear(int fd) {
    uint64_t count;
    while (read(fd, &count, sizeof count) == (ssize_t)sizeof count) {
    }
}
