#include "updraft_memory.h"

#include <features.h>

#ifdef __GLIBC__
#include <malloc.h>

int updraft_limit_arenas(int number) { return mallopt(M_ARENA_MAX, number) == 1; }
#else
int updraft_limit_arenas(int number) {
    (void)number;
    return 0;
}
#endif
