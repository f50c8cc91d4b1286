#include "updraft_scan.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#include <string.h>

static inline uint64_t equal(const __m128i part[4], char byte) {
    const __m128i wanted = _mm_set1_epi8(byte);
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) {
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(part[i], wanted)) << (16 * i);
    }
    return bits;
}

// Each bit becomes the exclusive or of itself and all lower ones: between a pair of quotes all bits are set.
static inline uint64_t prefix_xor(uint64_t bits) {
    for (int shift = 1; shift < 64; shift <<= 1) bits ^= bits << shift;
    return bits;
}

// The bytes that a backslash makes mean something else. Runs of backslashes are short and rare, so one at a time.
static inline uint64_t escaped_bytes(uint64_t backslashes, uint64_t *carry) {
    uint64_t escaped = *carry;
    *carry = 0;
    backslashes &= ~escaped;
    while (backslashes != 0) {
        const int place = __builtin_ctzll(backslashes);
        if (place == 63) {
            *carry = 1;
            break;
        }
        escaped |= 2ull << place;
        backslashes &= ~(3ull << place);
    }
    return escaped;
}

int updraft_scan_is_fast(void) { return 1; }

int updraft_scan_containers(const uint8_t *bytes, size_t count, updraft_scan *scan) {
    size_t position = scan->position, depth = scan->depth;
    uint64_t in_string = scan->in_string, carry = scan->escaped;
    int result = 0;
    while (count - position >= 64) {
        __m128i part[4], low[4];
        memcpy(part, bytes + position, sizeof part);
        for (int i = 0; i < 4; i++) low[i] = _mm_or_si128(part[i], _mm_set1_epi8(0x20));
        const uint64_t backslashes = equal(part, '\\');
        uint64_t quotes = equal(part, '"');
        if ((backslashes | carry) != 0) quotes &= ~escaped_bytes(backslashes, &carry);
        const uint64_t inside = prefix_xor(quotes) ^ in_string;
        in_string = (uint64_t)((int64_t)inside >> 63);
        // '[' and ']' are '{' and '}' without the bit 0x20.
        const uint64_t open = equal(low, '{') & ~inside, shut = equal(low, '}') & ~inside;
        const size_t opened = (size_t)__builtin_popcountll(open), closed = (size_t)__builtin_popcountll(shut);
        if (closed < depth && depth + opened <= scan->maximum) {
            depth = depth + opened - closed;
        } else {
            for (uint64_t left = open | shut; left != 0; left &= left - 1) {
                const int place = __builtin_ctzll(left);
                if ((open >> place) & 1) {
                    if (++depth > scan->maximum) result = 2;
                } else if (--depth == 0) {
                    result = 1;
                }
                if (result != 0) {
                    scan->position = position + (size_t)place + 1;
                    scan->depth = depth;
                    return result;
                }
            }
        }
        position += 64;
    }
    scan->position = position;
    scan->depth = depth;
    scan->in_string = in_string;
    scan->escaped = carry;
    return result;
}

#else

int updraft_scan_is_fast(void) { return 0; }

int updraft_scan_containers(const uint8_t *bytes, size_t count, updraft_scan *scan) {
    (void)bytes;
    (void)count;
    (void)scan;
    return 0;
}

#endif
