/* All kernels of one (ISA, dtype) and their table. Included inside an ISA region after vec_<isa>.h, so it includes no
 * system header. FM_TABLE is the name of the function that returns the table. */
enum { PANEL = 2 * VL };

#include "../kernels/vecmath.inl"
#include "../kernels/reduce.inl"
#include "../ops/activation.inl"
#include "../kernels/epilogue.inl"
#include "../kernels/norm.inl"
#include "../ops/softmax.inl"
#include "../ops/prelu.inl"
#include "../ops/maxout.inl"
#include "../ops/loss.inl"
#include "../ops/cross_entropy.inl"
#include "../ops/cosine.inl"
#include "../ops/regularise.inl"
#include "../ops/optimizer.inl"
#include "../ops/muon.inl"
#include "../ops/average.inl"
#include "../kernels/tile.inl"
#include "../kernels/gemm.inl"
#if FM_REAL_IS_FLOAT
#include "../kernels/pairs.inl"
#endif
#include "../kernels/gather.inl"
#include "../kernels/pack.inl"
#include "../kernels/random.inl"
#include "../kernels/sparse.inl"
#include "../kernels/dropout.inl"
#include "../kernels/noise.inl"

/* Whole rows get their bias as the identity does, panel by panel. */
#define FM_KERNELS_ELEMENTS(name) \
  { name##_forward, name##_backward, NULL, NULL, NULL, NULL }
#define FM_KERNELS_ROWS(name) \
  { identity_forward, NULL, name##_forward_rows, name##_backward_rows, NULL, NULL }
#define FM_KERNELS_UNITS(name) \
  { identity_forward, NULL, NULL, NULL, name##_forward_units, name##_backward_units }
#define ACTIVATION(name, params, keeps, of) [FM_ACTIVATION_##name] = FM_KERNELS_##of(name),
#define LOSS(name, output, params, targets) [FM_LOSS_##name] = name##_rows,
#define OPTIMIZER(name, states, ...) [FM_OPTIMIZER_##name] = name##_update,
#define MATH(name, ulp32, ulp64) [FM_MATH_##name] = name##_array,
#define FM_ROW_GATHER(name, type) [FM_SOURCE_##name] = gather_##name,
#define FM_ROW_FINITE(name, type) [FM_SOURCE_##name] = finite_##name,
#define FM_ROW_ENTRIES(name, type) [FM_SOURCE_##name] = entries_##name,

static const fm_kernels table = {
    .isa = FM_ISA_NAME,
    .dtype = FM_REAL_IS_FLOAT ? "float32" : "float64",
    .itemsize = (ptrdiff_t)sizeof(real),
    .lanes = VL,
    .panel = PANEL,
    .tile_rows = FM_TILE_ROWS,
    .few_rows = MAX_FEW_ROWS,
    .gemm_rows = gemm_rows,
    .gemm_few = gemm_few,
    .gemm_columns = gemm_columns,
    .gemm_dots = gemm_dots,
    .sum_rows = sum_rows,
    .add = add,
    .sum_squares = sum_squares,
    .sum_row = sum_row,
    .sum_penalties = sum_penalties,
    .square_columns = square_columns,
    .sum_columns = sum_columns,
    .normalise_rows = normalise_rows,
    .pull_back_rows = pull_back_rows,
    .normalise_batch = normalise_batch,
    .pull_back_batch = pull_back_batch,
    .normalise_fixed = normalise_fixed,
    .pull_back_fixed = pull_back_fixed,
    .activation =
        {
#include "../ops/activation.inl"
        },
    .loss =
        {
#include "../ops/loss.inl"
        },
    .regularise = regularise,
    .scale = scale,
    .limit = limit,
    .bound_columns = bound_columns,
    .bound_rows = bound_rows,
    .shrink = shrink,
    .average = average,
    .optimizer =
        {
#include "../ops/optimizer.inl"
        },
    .maxout = maxout,
    .maxout_backward = maxout_backward,
    .muon_direction = muon_direction,
    .muon_polynomial = muon_polynomial,
    .muon_step = muon_step,
    .gather = {FM_SOURCES(FM_ROW_GATHER)},
    .finite = {FM_SOURCES(FM_ROW_FINITE)},
    .entries = {FM_SOURCES(FM_ROW_ENTRIES)},
    .gemm_entries = gemm_entries,
    .dots_entries = dots_entries,
    .add_entries = add_entries,
    .pack = pack,
    .unpack = unpack,
    .transpose = transpose,
    .philox = philox,
    .random_rows = random_rows,
    .drop = drop,
    .add_noise = add_noise,
    .math =
        {
#include "../kernels/math.def"
        },
    .fma_loop = fma_loop,
#if FM_REAL_IS_FLOAT
    .pairs = &pairs_table,
#endif
};
#undef ACTIVATION
#undef LOSS
#undef OPTIMIZER
#undef MATH

const fm_kernels *FM_TABLE(void) { return &table; }
