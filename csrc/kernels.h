/* The only way into the arithmetic: one const table of kernels and tile sizes for each (ISA, dtype).
 *
 * Matrices inside the engine are stored as column panels: `panel` columns wide, all rows of a panel contiguous, zero
 * padded on the right. Element (r, c) of a matrix whose panels are `stride` elements apart is at
 *     data[(c / panel) * stride + r * panel + c % panel].
 * A block is a run of rows inside one panel; it is contiguous. Kernels return nothing and cannot fail: everything that
 * can be wrong is checked when a plan is made. Dimension letters: B batch, I inputs, O outputs. */
#ifndef FASTMLP_KERNELS_H
#define FASTMLP_KERNELS_H

#include "base.h"

#define ISA(name, needs) FM_ISA_##name,
enum fm_isa {
#include "isa/isa.def"
  FM_ISA_COUNT
};
#undef ISA

#define ACTIVATION(name, params, keeps, of) FM_ACTIVATION_##name,
enum fm_activation {
#include "ops/activation.inl"
  FM_ACTIVATION_COUNT
};
#undef ACTIVATION

#define LOSS(name, output, params, targets) FM_LOSS_##name,
enum fm_loss {
#include "ops/loss.inl"
  FM_LOSS_COUNT
};
#undef LOSS

#define OPTIMIZER(name, states, ...) FM_OPTIMIZER_##name,
enum fm_optimizer {
#include "ops/optimizer.inl"
  FM_OPTIMIZER_COUNT
};
#undef OPTIMIZER

#define MATH(name, ulp32, ulp64) FM_MATH_##name,
enum fm_math {
#include "kernels/math.def"
  FM_MATH_COUNT
};
#undef MATH

/* What the slope of an activation is computed from, what it is a function of, and what a loss takes for its target. */
enum { FM_OUTPUT, FM_SIGNAL };
enum { FM_ELEMENTS, FM_ROWS, FM_UNITS };
enum { FM_VALUES, FM_LABELS };

/* A step's row of the table: the columns of its optimizer, then those that every step has. */
#define OPTIMIZER(name, states, ...) \
  typedef struct {                   \
    double __VA_ARGS__;              \
  } fm_##name##_columns;
#include "ops/optimizer.inl"
#undef OPTIMIZER

#define FM_SHARED_COLUMNS weight_decay, shrinkage
typedef struct {
  double FM_SHARED_COLUMNS;
} fm_shared_columns;
enum { FM_SHARED_COUNT = sizeof(fm_shared_columns) / sizeof(double) };

/* The most that a row of the lists has: arrays of state, columns, parameters (a name has a letter at least, and a space
 * or the end behind it). */
#define OPTIMIZER(name, states, ...) char name[(states) + 1];
union fm_states {
#include "ops/optimizer.inl"
};
#undef OPTIMIZER
#define OPTIMIZER(name, states, ...) fm_##name##_columns name;
union fm_columns {
#include "ops/optimizer.inl"
};
#undef OPTIMIZER
#define ACTIVATION(name, params, keeps, of) char activation_##name[sizeof params];
#define LOSS(name, output, params, targets) char loss_##name[sizeof params];
union fm_params {
#include "ops/activation.inl"
#include "ops/loss.inl"
};
#undef ACTIVATION
#undef LOSS
enum {
  FM_MAX_STATES = sizeof(union fm_states) - 1,
  FM_MAX_COLUMNS = sizeof(union fm_columns) / sizeof(double), /* of an optimizer's own */
  FM_MAX_PARAMS = sizeof(union fm_params) / 2
};

/* Layers with at most so many outputs are products by gemm_dots on every ISA, whose sums have another order. */
enum { FM_DOT_COLUMNS = 4 };

/* `params` are FM_MAX_PARAMS numbers, of which the list names the first. */
typedef struct {
  /* c = f(c + bias) for a block of `rows` rows; `vectors` (1 or 2) says how much of the panel's width is in use. Where
   * the list says SIGNAL, f'(c + bias) goes to `kept`, which is c itself where nobody wants it; else `kept` is not
   * looked at. */
  void (*forward)(ptrdiff_t rows, int vectors, const void *bias, const double *params, void *c, void *kept);
  /* d = d * f'(z), where `kept` are the outputs, or where the list says SIGNAL the slopes f'(z). */
  void (*backward)(ptrdiff_t rows, int vectors, const void *kept, const double *params, void *d);
  /* For a function of whole rows, NULL for any other: forward adds the bias, and this goes on in place; backward_rows,
   * in the place of backward, turns d = dE/da into dE/dz. */
  void (*forward_rows)(ptrdiff_t rows, ptrdiff_t n_outputs, const double *params, void *a, ptrdiff_t stride,
                       void *kept);
  void (*backward_rows)(ptrdiff_t rows, ptrdiff_t n_outputs, const void *kept, const double *params, void *d,
                        ptrdiff_t stride);
  /* For one with a learned vector, NULL for any other: in the places of forward and backward. `learned` is the
   * vector's part for the panel, or where it is shared, its one number; z goes to `kept`, which is c itself where
   * nobody wants it. backward_units puts each row's part of the vector's gradient beside d. */
  void (*forward_units)(ptrdiff_t rows, int vectors, const void *bias, const void *learned, int shared, void *c,
                        void *kept);
  void (*backward_units)(ptrdiff_t rows, int vectors, const void *kept, const void *learned, int shared, void *d,
                         void *terms);
} fm_activation_kernels;

/* One row block of the output layer, its matrices in panels `stride` elements apart. */
typedef struct {
  ptrdiff_t rows, n_outputs, stride;
  void *a;            /* logits for a loss that is fused with its output activation, replaced by outputs; or outputs */
  const void *target; /* like a, */
  const int32_t *labels; /* or, where this is not NULL, class numbers, one per row */
  const void *scale;     /* one per row: of its delta */
  void *d;               /* its delta */
  double *row_loss;      /* one per row */
  ptrdiff_t heads;       /* outputs of each target, which lie side by side: target k is that of k heads and on */
  const double *levels;  /* what takes the place of the first parameter for each of them; NULL where nothing does */
  const double *weights; /* what a target's terms are multiplied by, one per target; NULL: 1 */
  int leaves_nan_out;    /* whether terms of targets that are NaN are 0; else no target is */
} fm_loss_rows;

typedef void (*fm_loss_kernel)(const fm_loss_rows *block, const double *params);

/* One update of `n` contiguous parameters (a multiple of the vector length) from their gradient and the optimizer's own
 * arrays of state; `h` is its columns of the step's row of the table. */
typedef void (*fm_optimizer_kernel)(ptrdiff_t n, void *w, const void *g, void *const *state, const double *h);

/* Rows order[0 .. rows) of a strided matrix (order NULL: rows 0 .. rows), converted, into panels, whose padding is left
 * alone. Strides in bytes. With each row, the one `ahead` places later in the order is fetched into the caches (0:
 * none); the order is `known` places long. Column c becomes (x - shift[c]) * scale[c], rounded once to the dtype,
 * unless shift is NULL. */
typedef void (*fm_gather_kernel)(ptrdiff_t rows, ptrdiff_t columns, const int64_t *order, ptrdiff_t known,
                                 ptrdiff_t ahead, const void *x, ptrdiff_t row_stride, ptrdiff_t column_stride,
                                 const double *shift, const double *scale, void *panels, ptrdiff_t stride);

/* Whether every element of a strided matrix is finite. */
typedef int (*fm_finite_kernel)(ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t row_stride,
                                ptrdiff_t column_stride);

/* Entries of a sparse row, converted: `n` values and their columns, without those that are none of 0 .. n_columns, and
 * how many these are. */
typedef ptrdiff_t (*fm_entries_kernel)(ptrdiff_t n, const int32_t *columns, const void *values, ptrdiff_t n_columns,
                                       int32_t *to_columns, void *to_values);

/* What the random numbers of a matrix's rows are functions of: the block of Philox of this index, the row's number,
 * of which `first` is that of the first row, and the column. */
typedef struct {
  uint64_t seed;
  uint32_t stream, substream;
  uint64_t index;
  ptrdiff_t first;
} fm_row_keys;

/* c (rows x panel block) = a (rows x k, panels a_stride apart) b (k x panel block); += where accumulate. With one
 * vector, the right half of b is not read and that of c is zeroed. */
typedef void (*fm_gemm_rows)(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b, int vectors,
                             int accumulate, void *c);
/* The same for one to three rows and several right-hand panels at once: the row kernel. All panels are full. */
typedef void (*fm_gemm_few)(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b,
                            ptrdiff_t b_stride, ptrdiff_t panels, int accumulate, void *c, ptrdiff_t c_stride);
/* c (rows x panel block) = a^T (rows x k) b (k x panel block), a a block of k rows whose columns are read down. */
typedef void (*fm_gemm_columns)(ptrdiff_t rows, ptrdiff_t k, const void *a, const void *b, int vectors, int accumulate,
                                void *c);
/* Runs the register tile's multiply-adds without memory; returns how many flops that was. For the peak. */
typedef double (*fm_loop)(ptrdiff_t iterations, void *sink);

/* Products of bfloat16, summed up in float: two of them, a pair, take the place of one float in the operands, and a
 * step of k is a pair, two terms of the sum. Every table gives the same bits (vdot in isa/vec_scalar.h says which). A
 * pair is of neighbours in a row, or of one column's numbers in two rows; where rows or columns are odd, the last one's
 * partner is 0. Operands lie in panels, whose rows are as long as those of floats, or where pairs are along rows, half
 * as long. */
typedef struct fm_pairs {
  const char *name;
  int native; /* whether the processor has an instruction for it; else floats are faster */
  /* With the pairs of a along its rows (a_stride counts floats), or down its columns, and those of b down. */
  fm_gemm_rows gemm_rows;
  fm_gemm_few gemm_few;
  fm_gemm_columns gemm_columns;
  /* The pairs of a block of rows of floats, of which `columns` are in use, along rows and down columns; either may be
   * NULL. */
  void (*round_rows)(ptrdiff_t rows, ptrdiff_t columns, const void *block, void *along, void *down);
  /* The same of a tile of weights, rows and columns each <= panel, with the pairs along rows as a block of the
   * transpose. */
  void (*round_tile)(ptrdiff_t rows, ptrdiff_t columns, const void *tile, void *down, void *transposed);
  fm_loop dot_loop;
} fm_pairs;

typedef struct fm_kernels {
  const char *isa, *dtype;
  ptrdiff_t itemsize;  /* bytes of one element */
  ptrdiff_t lanes;     /* elements of one vector */
  ptrdiff_t panel;     /* columns of a panel: two vectors */
  ptrdiff_t tile_rows; /* rows of the register tile */
  ptrdiff_t few_rows;  /* at most so many rows go through gemm_few */

  fm_gemm_rows gemm_rows;
  fm_gemm_few gemm_few;
  fm_gemm_columns gemm_columns;
  /* c (rows x panel block) = a (rows x k, panels a_stride apart) times the transpose of b (columns x k, panels b_stride
   * apart), for a handful of columns; the rest of c is zeroed. */
  void (*gemm_dots)(ptrdiff_t rows, ptrdiff_t k, const void *a, ptrdiff_t a_stride, const void *b, ptrdiff_t b_stride,
                    ptrdiff_t columns, void *c);
  /* out (one row of a panel) = the sum of b's `rows` rows, += where accumulate; `panels` panels. */
  void (*sum_rows)(ptrdiff_t rows, ptrdiff_t panels, const void *b, ptrdiff_t b_stride, int accumulate, void *out);

  /* out += x; n elements, a multiple of the vector length. */
  void (*add)(ptrdiff_t n, const void *x, void *out);
  /* The sum of the squares of a matrix in panels, padding not counted. */
  double (*sum_squares)(ptrdiff_t rows, ptrdiff_t columns, const void *matrix, ptrdiff_t stride);
  /* The sum of one row of a matrix in panels, padding not counted. */
  double (*sum_row)(ptrdiff_t columns, const void *row, ptrdiff_t stride);
  /* The sum of l1 |x| + l2 x^2 over a matrix in panels, padding not counted; in another order, which is quicker. */
  double (*sum_penalties)(ptrdiff_t rows, ptrdiff_t columns, const void *matrix, ptrdiff_t stride, double l1,
                          double l2);
  /* The sum of squares of a matrix in two steps, of which the first is a block's: `rows` rows of one panel, at most as
   * many as it has columns, give one row of a panel. Those rows of all blocks of a panel lie one after the other. */
  void (*square_columns)(ptrdiff_t rows, const void *block, void *out);
  double (*sum_columns)(ptrdiff_t blocks, ptrdiff_t columns, const void *squares, ptrdiff_t stride);

  /* c = gamma x with x = (c - mean) / sqrt(variance + epsilon), mean and variance along each of a block's rows. Where
   * `normed` is not NULL, x goes there, and each row's 1 / sqrt(variance + epsilon) to `scale`. */
  void (*normalise_rows)(ptrdiff_t rows, ptrdiff_t columns, double epsilon, const void *gamma, void *c,
                         ptrdiff_t stride, void *normed, void *scale);
  /* From `shifted`, derivatives by gamma x + beta, d, those by what was normalised; x becomes its product with
   * `shifted`: the sums of the two over the rows are the gradients of beta and gamma. */
  void (*pull_back_rows)(ptrdiff_t rows, ptrdiff_t columns, const void *gamma, const void *scale, const void *shifted,
                         ptrdiff_t stride, void *normed, void *d);
  /* The same with mean and variance of each column over all rows of one panel, which are left, as is `scale`. */
  void (*normalise_batch)(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, void *c, void *normed,
                          void *mean, void *variance, void *scale);
  void (*pull_back_batch)(ptrdiff_t rows, int vectors, const void *gamma, const void *scale, const void *shifted,
                          void *normed, void *d);
  /* And with mean and variance that are no functions of c; `normed` may be NULL here. */
  void (*normalise_fixed)(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, const void *mean,
                          const void *variance, void *c, void *normed);
  void (*pull_back_fixed)(ptrdiff_t rows, int vectors, double epsilon, const void *gamma, const void *variance,
                          const void *shifted, void *normed, void *d);

  fm_activation_kernels activation[FM_ACTIVATION_COUNT];
  /* The largest of `pieces` signals of each of `units` outputs, in the first columns of a block of rows that has had
   * its biases; `kept` gets the slopes, unless it is NULL. And from derivatives by the outputs to those by the signals.
   */
  void (*maxout)(ptrdiff_t rows, ptrdiff_t units, ptrdiff_t pieces, void *a, ptrdiff_t stride, void *kept);
  void (*maxout_backward)(ptrdiff_t rows, ptrdiff_t units, ptrdiff_t pieces, const void *kept, void *d,
                          ptrdiff_t stride);
  fm_loss_kernel loss[FM_LOSS_COUNT];
  /* g += l1 sign(w) + l2 w for `n` contiguous weights. */
  void (*regularise)(ptrdiff_t n, const void *w, double l1, double l2, void *g);
  /* g *= factor, and g = min(max(g, -most), most), for `n` contiguous entries of a gradient. */
  void (*scale)(ptrdiff_t n, double factor, void *g);
  void (*limit)(ptrdiff_t n, double most, void *g);
  /* The columns of a panel whose norms are larger than `most` are scaled to it; whether there is any. The same for rows
   * of a matrix in panels. */
  int (*bound_columns)(ptrdiff_t rows, double most, void *panel);
  void (*bound_rows)(ptrdiff_t rows, ptrdiff_t columns, double most, void *matrix, ptrdiff_t stride);
  /* w -= share w for `n` contiguous weights. */
  void (*shrink)(ptrdiff_t n, double share, void *w);
  /* average += share (w - average) for `n` contiguous parameters. */
  void (*average)(ptrdiff_t n, const void *w, double share, void *average);
  fm_optimizer_kernel optimizer[FM_OPTIMIZER_COUNT];
  /* What Muon does with matrices, by its columns h: of `n` contiguous weights, the direction that is to be made
   * orthogonal; a block of at most as many rows as a panel has columns, on the diagonal or not, of its polynomial in a,
   * where a^2 is; the end of the step, which moves the momentum m and the weights. */
  void (*muon_direction)(ptrdiff_t n, const void *g, const void *m, const double *h, void *out);
  void (*muon_polynomial)(ptrdiff_t rows, int diagonal, const double *h, const void *a, void *square);
  void (*muon_step)(ptrdiff_t n, const void *direction, const void *g, double scale, const double *h, void *m, void *w);

  fm_gather_kernel gather[FM_SOURCE_COUNT];
  fm_finite_kernel finite[FM_SOURCE_COUNT];
  fm_entries_kernel entries[FM_SOURCE_COUNT];
  /* What gemm_rows and gemm_dots give for a row of which these entries are not 0, columns rising: c, one row of as many
   * panels (c_stride apart) as `vectors` need, of the panels of b; and one of the handful of columns. */
  void (*gemm_entries)(ptrdiff_t n, const int32_t *columns, const void *values, const void *b, ptrdiff_t b_stride,
                       ptrdiff_t vectors, void *c, ptrdiff_t c_stride);
  void (*dots_entries)(ptrdiff_t n, const int32_t *columns, const void *values, const void *b, ptrdiff_t b_stride,
                       ptrdiff_t n_outputs, void *c);
  /* g (a panel block) += a^T d for a sparse block a, whose entries come with their rows, rising in each column. */
  void (*add_entries)(ptrdiff_t n, const int32_t *rows, const int32_t *columns, const void *values, const void *d,
                      int vectors, void *g);
  /* Row-major matrix (row_stride elements apart) from and to panels. pack zeroes the padding. */
  void (*pack)(ptrdiff_t rows, ptrdiff_t columns, const void *in, ptrdiff_t row_stride, void *panels, ptrdiff_t stride);
  void (*unpack)(ptrdiff_t rows, ptrdiff_t columns, const void *panels, ptrdiff_t stride, void *out,
                 ptrdiff_t row_stride);
  /* Part of a transposition: rows x columns (each <= panel) of one block into a block of the transpose. */
  void (*transpose)(ptrdiff_t rows, ptrdiff_t columns, const void *in, void *out);

  /* Blocks first .. first + blocks of random numbers, four each. */
  void (*philox)(uint64_t seed, uint32_t stream, uint32_t substream, uint64_t first, ptrdiff_t blocks, uint32_t *out);
  /* A random number of 16 bits for each element of a matrix, in panels of its own. Whole panels are written. */
  void (*random_rows)(const fm_row_keys *keys, ptrdiff_t rows, ptrdiff_t columns, uint16_t *out, ptrdiff_t stride);
  /* c = scale c where an element's number is the threshold (0 to 2^16) or more, 0 c elsewhere, for a block of rows.
   * What c was goes to `before`, which may be NULL. */
  void (*drop)(ptrdiff_t rows, int vectors, const uint16_t *numbers, double threshold, double scale, void *c,
               void *before);
  /* c += deviation times a normal number, the quantile of an element's two random numbers, for a block of rows. */
  void (*add_noise)(ptrdiff_t rows, int vectors, const uint16_t *high, const uint16_t *low, double deviation, void *c);
  /* The vector functions over arrays, for their tests. */
  void (*math[FM_MATH_COUNT])(ptrdiff_t n, const void *x, void *out);
  fm_loop fma_loop;
  /* Products of bfloat16 by float32's instructions; NULL for other dtypes. */
  const fm_pairs *pairs;
} fm_kernels;

#ifdef __cplusplus
extern "C" {
#endif

/* The tables of this build, best first; a table is NULL where this processor (or its operating system) cannot run it.
 */
const char *fm_isa_name(int isa);
const char *fm_isa_needs(int isa);
const fm_kernels *fm_kernel_table(int isa, int dtype);
/* Products of bfloat16 on the panels of an ISA's float32 table: by an instruction where `native` and this processor has
 * one, else NULL; by float32's instructions, which an ISA always has. */
const fm_pairs *fm_pairs_table(int isa, int native);

/* Names, in the order of the enums above; NULL past the end. */
const char *fm_dtype_name(int i);
const char *fm_source_name(int i);
const char *fm_activation_name(int i);
const char *fm_activation_params(int i); /* names of its parameters, separated by spaces */
int fm_activation_keeps(int i);
int fm_activation_of(int i);
const char *fm_loss_name(int i);
const char *fm_loss_output(int i); /* output activation that the loss is fused with, "" for any */
const char *fm_loss_params(int i);
int fm_loss_targets(int i);
const char *fm_optimizer_name(int i);
int fm_optimizer_states(int i);
int fm_optimizer_n_columns(int i);
const char *fm_optimizer_columns(int i); /* their names, separated by ", " */
const char *fm_shared_columns_names(void);
const char *fm_math_name(int i);
double fm_math_ulp(int i, int dtype); /* stated error bound in units in the last place */

#ifdef __cplusplus
}
#endif

#endif
