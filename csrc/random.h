/* The shuffle of an epoch's rows: a sort by random keys, so that a row's place depends on seed, epoch and row alone,
 * never on a thread. Mirror: reference/random.py. */
#ifndef FASTMLP_RANDOM_H
#define FASTMLP_RANDOM_H

#include <string.h>

#include "base.h"

/* What random numbers are for: the stream of Philox. (2, 3 and 6 are drawn by reference/random.py alone.) */
enum { FM_STREAM_SHUFFLE = 1, FM_STREAM_DROPOUT = 4, FM_STREAM_NOISE = 5 };

/* Bits of a digit in the sort of n random keys: two digits tell nearly all of them apart. */
FM_INLINE int fm_digit_bits(int64_t n) {
  int bits = 8;
  while (bits < 16 && (n << 5) >> (2 * bits)) bits++;
  return bits;
}

/* Numbers of the buckets' first elements from the buckets' sizes. */
FM_INLINE void fm_starts(int64_t buckets, int64_t *sizes) {
  for (int64_t bucket = 0, sum = 0; bucket < buckets; bucket++) {
    const int64_t size = sizes[bucket];
    sizes[bucket] = sum;
    sum += size;
  }
}

/* The rows 0 .. n-1 in the order of their 32-bit keys, equal keys in row order. Two passes of a stable radix sort bring
 * the keys' first 2 * bits bits in order, the later of them first; keys that agree in these, few if the keys are
 * random, are left to an insertion sort. `pairs` has room for n, `start` for two times 2^bits. */
static inline void fm_sort_rows(int64_t n, const uint32_t *FM_RESTRICT keys, int bits, uint64_t *FM_RESTRICT order,
                                uint64_t *FM_RESTRICT pairs, int64_t *FM_RESTRICT start) {
  const int64_t buckets = (int64_t)1 << bits;
  const int late = 32 - 2 * bits, early = 32 - bits;
  /* A key and its row as one number. With digits of 16 bits the second pass is the last, and its digit is enough: more
   * than 2^32 rows can be told apart. */
  const int row_bits = bits < 16 ? 32 : 48;
  int64_t *const late_start = start, *const early_start = start + buckets;
  memset(start, 0, 2 * (size_t)buckets * sizeof *start);
  for (int64_t i = 0; i < n; i++) {
    late_start[keys[i] >> late & (buckets - 1)]++;
    early_start[keys[i] >> early]++;
  }
  fm_starts(buckets, late_start);
  fm_starts(buckets, early_start);
  for (int64_t i = 0; i < n; i++)
    pairs[late_start[keys[i] >> late & (buckets - 1)]++] =
        (uint64_t)keys[i] >> (row_bits - 32) << row_bits | (uint64_t)i;
  for (int64_t i = 0; i < n; i++) order[early_start[pairs[i] >> (64 - bits)]++] = pairs[i];
  for (int64_t i = 1; bits < 16 && i < n; i++) {
    const uint64_t pair = order[i];
    if (order[i - 1] < pair) continue;
    int64_t place = i;
    for (; place > 0 && order[place - 1] > pair; place--) order[place] = order[place - 1];
    order[place] = pair;
  }
  for (int64_t i = 0; i < n; i++) order[i] &= ((uint64_t)1 << row_bits) - 1;
}

#endif
