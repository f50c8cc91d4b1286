#ifndef UPDRAFT_SCAN_H
#define UPDRAFT_SCAN_H
#include <stddef.h>
#include <stdint.h>

// Whether this machine has what `updraft_scan_containers` needs; if not, callers use their own loop.
int updraft_scan_is_fast(void);

// Follows strings and the depth of brackets in JSON, 64 bytes at a time: what the Swift compiler has no words for (one bit
// for each byte that compares equal).
typedef struct {
    size_t position;      // in: of the first byte to look at. out: see `updraft_scan_containers`
    size_t depth;         // in and out: open brackets
    size_t maximum;       // more than this is too deep
    uint64_t in_string;   // in and out: all ones inside a string, else 0
    uint64_t escaped;     // in and out: 1 if the first byte is escaped by a backslash before it, else 0
} updraft_scan;

// Looks at the bytes up to `count`, in blocks of 64 only. Returns
//   0  fewer than 64 bytes are left at `position`, the state is that before them;
//   1  the depth became 0: `position` is behind the bracket that did it;
//   2  the depth became greater than `maximum`: `position` is behind the bracket that did it.
int updraft_scan_containers(const uint8_t *bytes, size_t count, updraft_scan *scan);
#endif
