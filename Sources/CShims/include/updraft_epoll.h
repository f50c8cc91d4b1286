#ifndef UPDRAFT_EPOLL_H
#define UPDRAFT_EPOLL_H
// Word that a peer has gone from a socket that nobody reads. epoll(7) is not in the Glibc module.
#include <stdint.h>

// A new instance, close-on-exec; -1 with errno.
int updraft_epoll_create(void);
// Reports `id` once when the peer of `fd` closes its side or the connection breaks. 0, or -1 with errno.
int updraft_epoll_watch_hangup(int epoll, int fd, uint64_t id);
// Reports `id` whenever `fd` can be read. 0, or -1 with errno.
int updraft_epoll_watch_readable(int epoll, int fd, uint64_t id);
// Stops watching; unknown sockets are ignored.
void updraft_epoll_forget(int epoll, int fd);
// Waits without limit for up to `capacity` reports. How many, 0 when interrupted, -1 with errno.
int updraft_epoll_wait(int epoll, uint64_t *ids, int capacity);
#endif
