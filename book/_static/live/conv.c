/* A convolution over rows of feature maps, four outputs and eight pixels at a
   time.  Compiled into conv.wasm, which engine.js loads:

       clang-19 --target=wasm32 -O3 -msimd128 -nostdlib -Wl,--no-entry \
           -Wl,--export=conv -Wl,--import-memory -Wl,--strip-all \
           -o conv.wasm conv.c

   engine.js has the same loop in JavaScript, for browsers without SIMD. */

#include <wasm_simd128.h>

#define PIXELS 8 /* two vectors; with four outputs all fits in 16 registers */
#define ROWS 4096 /* most maps times rows of a filter */

/* in: c maps of in_rows rows of in_stride numbers, of which the first is
   picture row in_top; a row begins f/2 pixels left of the picture.
   weights: for each four outputs [c][f][f][4], and for the rest, one by one,
   [c][f][f]; out: o maps of out_rows rows of out_stride, from pixel 0 on. */
typedef struct {
  const float *in, *weights, *biases;
  float *out;
  int in_top, in_rows, in_stride, c, f;
  int out_top, out_rows, out_stride, o, relu, width, height;
} Layer;

static inline __attribute__((always_inline)) void block(
    const Layer *l, const int outputs, const int f, const float *const *rows,
    const float *weights, int o, int y, int x) {
  v128_t sum[4][2];
  for (int k = 0; k < outputs; k++)
    sum[k][0] = sum[k][1] = wasm_f32x4_splat(l->biases[o + k]);
  for (int t = 0; t < l->c * f; t++) {
    const float *in = rows[t] + x;
    for (int j = 0; j < f; j++, in++, weights += outputs) {
      const v128_t a = wasm_v128_load(in), b = wasm_v128_load(in + 4);
      for (int k = 0; k < outputs; k++) {
        const v128_t w = wasm_v128_load32_splat(weights + k);
        sum[k][0] = wasm_f32x4_add(sum[k][0], wasm_f32x4_mul(w, a));
        sum[k][1] = wasm_f32x4_add(sum[k][1], wasm_f32x4_mul(w, b));
      }
    }
  }
  const v128_t zero = wasm_f32x4_splat(0);
  for (int k = 0; k < outputs; k++) {
    float *out = l->out + ((o + k) * l->out_rows + y - l->out_top) *
                              l->out_stride + x;
    for (int v = 0; v < 2; v++)
      wasm_v128_store(out + 4 * v, l->relu ? wasm_f32x4_pmax(zero, sum[k][v])
                                           : sum[k][v]);
  }
}

static inline __attribute__((always_inline)) void all(const Layer *l,
                                                      const int f) {
  const int per_output = l->c * f * f, area = l->in_rows * l->in_stride;
  const float *rows[ROWS]; /* those under the filter, map by map */
  for (int y = l->out_top; y < l->out_top + l->out_rows; y++) {
    for (int c = 0, t = 0; c < l->c; c++)
      for (int i = 0; i < f; i++) {
        int row = y + i - f / 2; /* rows beyond an edge repeat it */
        row = row < 0 ? 0 : row >= l->height ? l->height - 1 : row;
        rows[t++] = l->in + c * area + (row - l->in_top) * l->in_stride;
      }
    for (int x = 0; x < l->width; x += PIXELS) {
      const float *weights = l->weights;
      int o = 0;
      for (; o + 4 <= l->o; o += 4, weights += 4 * per_output)
        block(l, 4, f, rows, weights, o, y, x);
      for (; o < l->o; o++, weights += per_output)
        block(l, 1, f, rows, weights, o, y, x);
    }
  }
}

void conv(const Layer *l) {
  if (l->f == 1)
    all(l, 1); /* without the loops over a filter */
  else
    all(l, l->f);
}
