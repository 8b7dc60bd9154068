/* All kernels of one (ISA, dtype) and their table. Included inside an ISA region after vec_<isa>.h, so it includes no
 * system header. FM_TABLE is the name of the function that returns the table. */
#define FM_INSTANTIATE 1

enum { PANEL = 2 * VL };

#include "../kernels/vecmath.inl"
#include "../ops/activation.inl"
#include "../kernels/layer.inl"
#include "../ops/loss.inl"
#include "../ops/optimizer.inl"
#include "../kernels/gemm.inl"
#include "../kernels/pack.inl"
#include "../kernels/random.inl"

#define FM_ROW_ACTIVATION(name, param_name) [FM_ACTIVATION_##name] = {name##_forward, name##_backward},
#define FM_ROW_LOSS(name, output, clipped) [FM_LOSS_##name] = name##_rows,
#define FM_ROW_CLIPPED_LOSS(name, output, clipped) [FM_LOSS_##name] = clipped##_rows,
#define FM_ROW_OPTIMIZER(name, states, scalars) [FM_OPTIMIZER_##name] = name##_update,
#define FM_ROW_GATHER(name, type) [FM_SOURCE_##name] = gather_##name,
#define FM_ROW_FINITE(name, type) [FM_SOURCE_##name] = finite_##name,
#define FM_ROW_MATH(name, ulp32, ulp64) [FM_MATH_##name] = name##_array,

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
    .activation = {FM_ACTIVATIONS(FM_ROW_ACTIVATION)},
    .softmax_forward = softmax_forward,
    .softmax_backward = softmax_backward,
    .loss = {FM_LOSSES(FM_ROW_LOSS)},
    .clipped_loss = {FM_LOSSES(FM_ROW_CLIPPED_LOSS)},
    .optimizer = {FM_OPTIMIZERS(FM_ROW_OPTIMIZER)},
    .gather = {FM_SOURCES(FM_ROW_GATHER)},
    .finite = {FM_SOURCES(FM_ROW_FINITE)},
    .pack = pack,
    .unpack = unpack,
    .transpose = transpose,
    .philox = philox,
    .math = {FM_MATHS(FM_ROW_MATH)},
    .fma_loop = fma_loop,
};

const fm_kernels *FM_TABLE(void) { return &table; }
