/* Counter-based random numbers (Philox4x32-10; Salmon, Moraes, Dror, Shaw 2011) and the shuffle made of them: a row's
 * place depends on seed, epoch and row alone, never on a thread. Mirror: reference/random.py. */
#ifndef FASTMLP_RANDOM_H
#define FASTMLP_RANDOM_H

#include <string.h>

#include "base.h"

enum { FM_STREAM_SHUFFLE = 1 };

FM_INLINE void fm_philox(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t index, uint32_t out[4]) {
  uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
  uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), c2 = substream, c3 = stream;
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ key0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ key1;
    c3 = (uint32_t)p0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* The rows 0 .. n-1 in the order of their 32-bit keys, equal keys in row order: a stable radix sort, least significant
 * digits first. keys, spare_keys and spare have room for n, keys up to the next multiple of four. */
static inline void fm_permutation(uint64_t seed, uint32_t epoch, int64_t n, int64_t *order, uint32_t *keys,
                                  int64_t *spare, uint32_t *spare_keys) {
  enum { BITS = 11, BUCKETS = 1 << BITS, DIGITS = 3 };
  for (int64_t block = 0; 4 * block < n; block++)
    fm_philox(seed, FM_STREAM_SHUFFLE, epoch, (uint64_t)block, keys + 4 * block);
  for (int64_t i = 0; i < n; i++) order[i] = i;
  for (int digit = 0; digit < DIGITS; digit++) {
    int64_t start[BUCKETS] = {0};
    const int shift = digit * BITS;
    for (int64_t i = 0; i < n; i++) start[keys[i] >> shift & (BUCKETS - 1)]++;
    for (int64_t bucket = 0, sum = 0; bucket < BUCKETS; bucket++) {
      const int64_t count = start[bucket];
      start[bucket] = sum;
      sum += count;
    }
    for (int64_t i = 0; i < n; i++) {
      const int64_t place = start[keys[i] >> shift & (BUCKETS - 1)]++;
      spare[place] = order[i];
      spare_keys[place] = keys[i];
    }
    memcpy(order, spare, (size_t)n * sizeof *order);
    memcpy(keys, spare_keys, (size_t)n * sizeof *keys);
  }
}

#endif
