/* A convolution over rows of feature maps, four outputs and twelve pixels at
   a time.  Compiled into conv.wasm, which engine.js loads:

       clang --target=wasm32 -O3 -msimd128 -nostdlib -Wl,--no-entry \
           -Wl,--export=conv -Wl,--import-memory -Wl,--strip-all \
           -o conv.wasm conv.c

   engine.js has the same loop in JavaScript, for browsers without SIMD. */

#include <wasm_simd128.h>

#define PIXELS 12 /* three vectors; with four outputs all registers are used */

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
    const Layer *l, const int outputs, const float *weights, int o, int y,
    int x) {
  const int f = l->f, area = l->in_rows * l->in_stride;
  v128_t sum[4][3];
  for (int k = 0; k < outputs; k++)
    for (int v = 0; v < 3; v++) sum[k][v] = wasm_f32x4_splat(l->biases[o + k]);
  for (int c = 0; c < l->c; c++)
    for (int i = 0; i < f; i++) {
      int row = y + i - f / 2; /* rows beyond an edge repeat it */
      row = row < 0 ? 0 : row >= l->height ? l->height - 1 : row;
      const float *in =
          l->in + c * area + (row - l->in_top) * l->in_stride + x;
      for (int j = 0; j < f; j++, in++, weights += outputs) {
        const v128_t a = wasm_v128_load(in), b = wasm_v128_load(in + 4),
                     d = wasm_v128_load(in + 8);
        for (int k = 0; k < outputs; k++) {
          const v128_t w = wasm_v128_load32_splat(weights + k);
          sum[k][0] = wasm_f32x4_add(sum[k][0], wasm_f32x4_mul(w, a));
          sum[k][1] = wasm_f32x4_add(sum[k][1], wasm_f32x4_mul(w, b));
          sum[k][2] = wasm_f32x4_add(sum[k][2], wasm_f32x4_mul(w, d));
        }
      }
    }
  const v128_t zero = wasm_f32x4_splat(0);
  for (int k = 0; k < outputs; k++) {
    float *out = l->out + ((o + k) * l->out_rows + y - l->out_top) *
                              l->out_stride + x;
    for (int v = 0; v < 3; v++)
      wasm_v128_store(out + 4 * v, l->relu ? wasm_f32x4_pmax(zero, sum[k][v])
                                           : sum[k][v]);
  }
}

void conv(const Layer *l) {
  const int per_output = l->c * l->f * l->f;
  for (int y = l->out_top; y < l->out_top + l->out_rows; y++)
    for (int x = 0; x < l->width; x += PIXELS) {
      const float *weights = l->weights;
      int o = 0;
      for (; o + 4 <= l->o; o += 4, weights += 4 * per_output)
        block(l, 4, weights, o, y, x);
      for (; o < l->o; o++, weights += per_output)
        block(l, 1, weights, o, y, x);
    }
}
