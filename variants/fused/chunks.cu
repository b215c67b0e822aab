/*
 * fused on CUDA, many tokens in fp16, W unpacked once: rows of W, chunk by chunk, dequantised and
 * patched into a workspace, and cuBLAS over each chunk. For prompts so long that wide.cu, which
 * unpacks W once for each tile of tokens, spends more on that than a chunk's way through the L2
 * costs.
 *
 * The same weights as wide.cu's, rounded in the same way (rounding.cu says where they may be).
 *
 * Expected to limit it: cuBLAS, and for each chunk a launch and the L2's bandwidth for writing it.
 */
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/chunks.cuh"
#include "variants/fused/dependent.cuh"

#include <algorithm>

namespace ortho_fused
{

namespace
{

/* Bytes. An H100's L2 has 50 MB: what leaves it for a while costs less than a launch more. */
constexpr size_t CHUNK_MOST = static_cast<size_t>(64) << 20;
constexpr int64_t CHUNK_TOKENS_LEAST = 33;
constexpr int64_t CHUNK_ROWS = 128; /* a chunk has a multiple: a tile of cuBLAS */

/* Rows of each chunk but the last: about the same number. */
int64_t rows_of_chunk(const state &s)
{
    const int64_t fit = static_cast<int64_t>(CHUNK_MOST / 2) / s.w.s.k / CHUNK_ROWS,
                  most = fit > 0 ? fit : 1, all = divide_up(s.w.s.n, CHUNK_ROWS);
    return divide_up(all, divide_up(all, most)) * CHUNK_ROWS;
}

typedef void unpack_fn(const unpack_launch);

unpack_fn *pick_unpack(const state &s)
{
    return s.w.s.groups == 1 ? unpack_kernel<1> : unpack_kernel<IMAGE_STRIPS>;
}

/* Pieces that the largest window is cut into, and a block's memory. */
int pieces_of(const state &s)
{
    return static_cast<int>(divide_up(s.w.s.images_of(0), PIECE_IMAGES));
}

int unpack_memory(const state &s)
{
    return piece_memory(static_cast<int>(divide_up(s.w.s.images_of(0), pieces_of(s))));
}

ortho_status unpack(const state &s, const ortho_gemm_call &call, int64_t row, int64_t rows,
                    void *to)
{
    const unpack_launch l = {s.w,
                             static_cast<__half *>(to),
                             is_patched(s, call.alpha) ? call.alpha : 0.0f,
                             static_cast<int>(row),
                             static_cast<int>(rows),
                             pieces_of(s)};
    const dim3 grid(static_cast<unsigned>(s.w.s.units),
                    static_cast<unsigned>(l.pieces * s.w.s.windows));
    return launch_dependent(pick_unpack(s), grid, 1, UNPACK_THREADS, unpack_memory(s), call.stream,
                            "unpack_kernel", l);
}

} // namespace

bool takes_chunks(const state &s, const ortho_gemm_call &call)
{
    return s.blas != nullptr && call.m >= CHUNK_TOKENS_LEAST && call.m <= INT32_MAX &&
           takes_rounded(s, call);
}

size_t chunk_workspace(const state &s, int64_t m, ortho_dtype dtype)
{
    if (!takes_at_any_alpha(s, m, dtype, takes_chunks))
        return 0;
    return ORTHO_CUBLAS_WORKSPACE +
           static_cast<size_t>(std::min(rows_of_chunk(s), s.w.s.n) * s.w.s.k) * 2;
}

/* As measured on an H100, roughly. */
float chunks_us(const state &s, int64_t m)
{
    constexpr float BEGIN_US = 3, CHUNK_US = 3, PRODUCT_US = 9; /* at least */
    constexpr float UNPACKED_A_US = 2.2e6f, READ_A_US = 1.1e6f,
                    OPERATIONS_A_US = 7e8f; /* weights */
    const float weights = static_cast<float>(s.w.s.n * s.w.s.k),
                product = std::max(weights / READ_A_US,
                                   2 * weights * static_cast<float>(m) / OPERATIONS_A_US);
    return BEGIN_US + CHUNK_US * static_cast<float>(divide_up(s.w.s.n, rows_of_chunk(s))) +
           weights / UNPACKED_A_US + std::max(product, PRODUCT_US);
}

ortho_status run_chunks(const state &s, const ortho_gemm_call &call)
{
    const int64_t n = s.w.s.n, rows = rows_of_chunk(s);
    char *const chunk = static_cast<char *>(call.workspace) + ORTHO_CUBLAS_WORKSPACE;
    ortho_status status = ORTHO_OK;
    for (int64_t row = 0; row < n && status == ORTHO_OK; row += rows) {
        const int64_t here = std::min(rows, n - row);
        status = unpack(s, call, row, here, chunk);
        const ortho_cublas_product product = {
            .n = here,
            .k = s.w.s.k,
            .m = call.m,
            .y_stride = n,
            .dtype = ORTHO_F16,
            .w = chunk,
            .x = call.x,
            .y = static_cast<__half *>(call.y) + row,
            .workspace = call.workspace,
            .stream = call.stream,
        };
        if (status == ORTHO_OK)
            status = ortho_cublas_multiply(s.blas, &product);
    }
    return status == ORTHO_OK ? mend(s, call) : status;
}

/* cuBLAS's own aren't known before they run. */
void chunk_kernels(const state &s, int64_t m, const ortho_kernel_sink *sink)
{
    ortho_cuda_kernel_report("unpack_kernel", reinterpret_cast<const void *>(pick_unpack(s)),
                             UNPACK_THREADS, static_cast<size_t>(unpack_memory(s)), sink);
    mend_kernels(s, m, sink);
}

} // namespace ortho_fused
