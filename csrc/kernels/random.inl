/* Counter-based random numbers (Philox4x32-10; Salmon, Moraes, Dror, Shaw 2011): a number is a function of (seed,
 * stream, substream, index) alone. Mirror: reference/random.py. Included by isa/instantiate.inl. */

/* One round for many counters. Halves of the products apart, so that compilers find instructions for them. */
FM_INLINE void philox_round(const int lanes, uint32_t key0, uint32_t key1, uint32_t *FM_RESTRICT c0,
                            uint32_t *FM_RESTRICT c1, uint32_t *FM_RESTRICT c2, uint32_t *FM_RESTRICT c3) {
  const uint32_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
  for (int i = 0; i < lanes; i++) {
    const uint32_t high0 = (uint32_t)((uint64_t)m0 * c0[i] >> 32), low0 = m0 * c0[i];
    const uint32_t high1 = (uint32_t)((uint64_t)m1 * c2[i] >> 32), low1 = m1 * c2[i];
    c0[i] = high1 ^ c1[i] ^ key0;
    c1[i] = low1;
    c2[i] = high0 ^ c3[i] ^ key1;
    c3[i] = low0;
  }
}

static void philox(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t first, ptrdiff_t blocks,
                   uint32_t *out) {
  enum { LANES = 64 };
  uint32_t c[4][LANES];
  for (ptrdiff_t done = 0; done < blocks; done += LANES) {
    const ptrdiff_t n = blocks - done < LANES ? blocks - done : LANES;
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < LANES; i++) {
      const uint64_t index = first + (uint64_t)(done + i);
      c[0][i] = (uint32_t)index;
      c[1][i] = (uint32_t)(index >> 32);
      c[2][i] = substream;
      c[3][i] = stream;
    }
    for (int round = 0; round < 10; round++) {
      philox_round(LANES, key0, key1, c[0], c[1], c[2], c[3]);
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    for (ptrdiff_t i = 0; i < n; i++)
      for (int word = 0; word < 4; word++) out[4 * (done + i) + word] = c[word][i];
  }
}
