#define _GNU_SOURCE
#include "updraft_epoll.h"

#include <errno.h>
#include <sys/epoll.h>

int updraft_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int watch(int epoll, int fd, uint64_t id, uint32_t events) {
    struct epoll_event event = {.events = events, .data = {.u64 = id}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    return errno == EEXIST ? epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) : -1;
}

int updraft_epoll_watch_hangup(int epoll, int fd, uint64_t id) {
    return watch(epoll, fd, id, EPOLLRDHUP | EPOLLONESHOT);
}

int updraft_epoll_watch_readable(int epoll, int fd, uint64_t id) { return watch(epoll, fd, id, EPOLLIN); }

void updraft_epoll_forget(int epoll, int fd) {
    struct epoll_event unused = {0};
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &unused);
}

int updraft_epoll_wait(int epoll, uint64_t *ids, int capacity) {
    struct epoll_event events[64];
    int count = epoll_wait(epoll, events, capacity < 64 ? capacity : 64, -1);
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int index = 0; index < count; index++) ids[index] = events[index].data.u64;
    return count;
}
