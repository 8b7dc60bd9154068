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

/* Blocks `first`, `first` + 1, ..., one in each lane: word w of a block is c[w * lanes + lane]. */
FM_INLINE void philox_blocks(const int lanes, uint64_t seed, uint32_t stream, uint32_t substream, uint64_t first,
                             uint32_t *FM_RESTRICT c) {
  uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < lanes; i++) {
    const uint64_t index = first + (uint64_t)i;
    c[i] = (uint32_t)index;
    c[lanes + i] = (uint32_t)(index >> 32);
    c[2 * lanes + i] = substream;
    c[3 * lanes + i] = stream;
  }
  for (int round = 0; round < 10; round++) {
    philox_round(lanes, key0, key1, c, c + lanes, c + 2 * lanes, c + 3 * lanes);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

static void philox(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t first, ptrdiff_t blocks,
                   uint32_t *out) {
  enum { LANES = 64 };
  uint32_t c[4 * LANES];
  for (ptrdiff_t done = 0; done < blocks; done += LANES) {
    const ptrdiff_t n = blocks - done < LANES ? blocks - done : LANES;
    philox_blocks(LANES, seed, stream, substream, first + (uint64_t)done, c);
    for (ptrdiff_t i = 0; i < n; i++)
      for (int word = 0; word < 4; word++) out[4 * (done + i) + word] = c[word * LANES + i];
  }
}

/* A hash of 32 bits by a key of 64: C. Wellons' "lowbias32" (hash-prospector, 2018), half of the key before its first
 * multiplication and half before its second. For a given key no two numbers below 2^32 have the same hash. */
FM_INLINE uint32_t keyed_hash(uint32_t key0, uint32_t key1, uint32_t number) {
  uint32_t x = key0 + number * 0x9E3779B9u;
  x = (x ^ x >> 16) * 0x7FEB352Du + key1;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}

enum { HASHES = 32 };

/* One row: of 64 elements in a run, number i has the lower half of a hash and number 32 + i its upper half. */
FM_INLINE void random_row(uint32_t key0, uint32_t key1, ptrdiff_t columns, uint16_t *out, ptrdiff_t stride) {
  uint16_t run[2 * HASHES];
  for (ptrdiff_t c = 0; c < columns; c += 2 * HASHES) {
    for (int i = 0; i < HASHES; i++) {
      const uint32_t x = keyed_hash(key0, key1, (uint32_t)(c / 2 + i));
      run[i] = (uint16_t)x;
      run[HASHES + i] = (uint16_t)(x >> 16);
    }
    for (int i = 0; i < 2 * HASHES && c + i < columns; i += PANEL, out += stride)
      memcpy(out, run + i, sizeof run[0] * PANEL);
  }
}

/* A row's key is two hashes of its number, by the four words of one block of Philox. */
static void random_rows(const fm_row_keys *keys, ptrdiff_t rows, ptrdiff_t columns, uint16_t *out, ptrdiff_t stride) {
  uint32_t c[4];
  philox_blocks(1, keys->seed, keys->stream, keys->substream, keys->index, c);
  for (ptrdiff_t r = 0; r < rows; r++, out += PANEL) {
    const uint32_t number = (uint32_t)(keys->first + r);
    random_row(keyed_hash(c[0], c[1], number), keyed_hash(c[2], c[3], number), columns, out, stride);
  }
}
