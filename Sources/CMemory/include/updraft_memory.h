#ifndef UPDRAFT_MEMORY_H
#define UPDRAFT_MEMORY_H

// Keeps glibc's allocator to so many arenas. By default it makes up to eight for each core, one for each few threads, and
// what is freed in one is not used by the others. Returns whether it was taken.
int updraft_limit_arenas(int number);

#endif
