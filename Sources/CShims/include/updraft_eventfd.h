#ifndef UPDRAFT_EVENTFD_H
#define UPDRAFT_EVENTFD_H
// eventfd(2) is not in the Glibc module. Non-blocking, close-on-exec. Returns -1 and sets errno on failure.
int updraft_eventfd_create(void);
// Adds one; never blocks. Returns 0, or -1 with errno.
int updraft_eventfd_ring(int fd);
// Reads the counter down to zero.
void updraft_eventfd_clear(int fd);
#endif
