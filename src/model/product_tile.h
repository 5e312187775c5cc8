/*
 * product_tile.h - the products for one instruction set: a template, included by product.c once
 * for each, with these defined and undefined here:
 *
 *     TILE(name)   the functions' names
 *     TILE_NAME    what esp_product_kernels() says
 *     TILE_TARGET  attributes that switch the instruction set on
 *     LANES        floats of a vector
 *     TILE_ROWS    rows of a tile, a multiple of 3; TILE_ROWS * 2 accumulators, 2 vectors of b and
 *                  one of a must fit in the registers, and be enough to hide the latency
 *
 * A tile is TILE_ROWS x (2 LANES) of c = init + a b: a is broadcast, b read in whole vectors.
 */
#define TILE_COLS  (2 * LANES)
#define SMALL_ROWS (TILE_ROWS / 3 * 2)

typedef float TILE(vector) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

typedef int TILE(mask) __attribute__((vector_size(LANES * 4)));

/* v where the comparison holds, 0 elsewhere. */
#define WHERE(positive, v) ((TILE(vector))((TILE(mask))(v) & (positive)))

/*
 * One tile of n_rows rows: acc[i] += sum over k of a[i * a_row + k * a_k] b[k * b_k ...].
 * Always inlined with constant n_rows, so that acc stays in registers.
 */
TILE_TARGET ALWAYS_INLINE void TILE(sum)(size_t n_rows, size_t n_k, const float *a, size_t a_row,
                                         size_t a_k, const float *b, size_t b_k,
                                         TILE(vector) acc[][2])
{
    for (size_t k = 0; k < n_k; k++) {
        TILE(vector) b0 = *(const TILE(vector) *)(b + k * b_k);
        TILE(vector) b1 = *(const TILE(vector) *)(b + k * b_k + LANES);
        UNROLL
        for (size_t i = 0; i < n_rows; i++) {
            float element = a[i * a_row + k * a_k];
            acc[i][0] += element * b0;
            acc[i][1] += element * b1;
        }
    }
}

TILE_TARGET ALWAYS_INLINE void TILE(forward_rows)(size_t n_rows, size_t K, const float *x,
                                                  size_t ldx, const float *panel, const float *bias,
                                                  bool relu, float *y, size_t ldy)
{
    TILE(vector) acc[TILE_ROWS][2], zero = {0};
    UNROLL
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < 2; j++)
            acc[i][j] = *(const TILE(vector) *)(bias + j * LANES);
    TILE(sum)(n_rows, K, x, ldx, 1, panel, TILE_COLS, acc);
    UNROLL
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < 2; j++)
            *(TILE(vector) *)(y + i * ldy + j * LANES) =
                relu ? WHERE(acc[i][j] > zero, acc[i][j]) : acc[i][j];
}

TILE_TARGET static void TILE(forward)(size_t S, size_t N, size_t K, const float *x,
                                      const float *panels, const float *bias, bool relu, float *y)
{
    size_t ldx = esp_stride(K), ldy = esp_stride(N);
    for (size_t j = 0; j < N; j += TILE_COLS) {
        const float *panel = panels + j * K;
        FOR_TILES(i, S, TILE(forward_rows), K, x + i * ldx, ldx, panel, bias + j, relu,
                  y + i * ldy + j, ldy);
    }
}

TILE_TARGET ALWAYS_INLINE void TILE(input_rows)(size_t n_rows, size_t N, const float *dy,
                                                size_t ldy, const float *panel, const float *x,
                                                bool add, float *dx, size_t ldx)
{
    TILE(vector) acc[TILE_ROWS][2], zero = {0};
    UNROLL
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < 2; j++)
            acc[i][j] = add ? *(const TILE(vector) *)(dx + i * ldx + j * LANES) : zero;
    TILE(sum)(n_rows, N, dy, ldy, 1, panel, TILE_COLS, acc);
    UNROLL
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < 2; j++) {
            TILE(vector) out = acc[i][j];
            if (x)
                out = WHERE(*(const TILE(vector) *)(x + i * ldx + j * LANES) > zero, out);
            *(TILE(vector) *)(dx + i * ldx + j * LANES) = out;
        }
}

TILE_TARGET static void TILE(input)(size_t S, size_t N, size_t K, const float *dy,
                                    const float *panels, const float *x, bool add, float *dx)
{
    size_t ldx = esp_stride(K), ldy = esp_stride(N);
    for (size_t j = 0; j < K; j += TILE_COLS) {
        const float *panel = panels + j * N;
        FOR_TILES(i, S, TILE(input_rows), N, dy + i * ldy, ldy, panel, x ? x + i * ldx + j : NULL,
                  add, dx + i * ldx + j, ldx);
    }
}

static const struct esp_kernels TILE(kernels) = {TILE(forward), TILE(input), TILE_COLS, TILE_NAME};

#undef WHERE
#undef TILE
#undef TILE_NAME
#undef TILE_TARGET
#undef TILE_COLS
#undef SMALL_ROWS
#undef TILE_ROWS
#undef LANES
