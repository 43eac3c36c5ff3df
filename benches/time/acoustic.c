// Acoustic waves, order 2 in time and 8 in space, single precision, zero beyond the box: N STEPS THREADS BLOCKS. Tiles of 16 x 16 rows.
// Prints seconds of the best block and the norm of the field.
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
// Of the clock, or with one thread of the processor.
static double now_s(void) {
  struct timespec t;
  clock_gettime(omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}
enum { G = 4, TILE = 16 };
int main(int argc, char **argv) {
  long n = atol(argv[1]), steps = atol(argv[2]);
  omp_set_num_threads(atoi(argv[3]));
  const float c0 = -205.0f / 72 * 3, c1 = 8.0f / 5, c2 = -1.0f / 5, c3 = 8.0f / 315, c4 = -1.0f / 560, dt = 1.5e-3f, h = 10.0f;
  long row = (n + 2 * G + 15) / 16 * 16, plane = row * (n + 2 * G), all = plane * (n + 2 * G);
  float *a = aligned_alloc(64, all * 4), *b = aligned_alloc(64, all * 4), *m = aligned_alloc(64, all * 4);
  double best = 1e30, norm = 0;
  for (int k = 0; k < atoi(argv[4]); k++) {
    float *old = a, *now = b;
#pragma omp parallel for schedule(static)
    for (long x = 0; x < n + 2 * G; x++)
      memset(a + x * plane, 0, plane * 4), memset(b + x * plane, 0, plane * 4), memset(m + x * plane, 0, plane * 4);
#pragma omp parallel for schedule(static)
    for (long x = 0; x < n; x++)
      for (long y = 0; y < n; y++)
        for (long z = 0; z < n; z++) {
          long at = (x + G) * plane + (y + G) * row + z + G, i = x - n / 2, j = y - n / 2, l = z - n / 2;
          float speed = z < n / 2 ? 1500.0f : 2500.0f, ratio = speed * dt / h;
          a[at] = b[at] = expf(-(float)(i * i + j * j + l * l) / 25.0f);
          m[at] = ratio * ratio;
        }
    double begin = now_s();
    for (long s = 0; s < steps; s++) {
#pragma omp parallel for collapse(2) schedule(static)
      for (long bx = 0; bx < n; bx += TILE)
        for (long by = 0; by < n; by += TILE)
          for (long x = bx; x < bx + TILE && x < n; x++)
            for (long y = by; y < by + TILE && y < n; y++) {
              long at = (x + G) * plane + (y + G) * row + G;
              const float *restrict u = now + at, *restrict w = m + at;
              float *restrict p = old + at;
#define SHELL(k) (u[z - k] + u[z + k] + u[z - k * row] + u[z + k * row] + u[z - k * plane] + u[z + k * plane])
#pragma omp simd
              for (long z = 0; z < n; z++)
                p[z] = 2 * u[z] - p[z] + w[z] * (c0 * u[z] + c1 * SHELL(1) + c2 * SHELL(2) + c3 * SHELL(3) + c4 * SHELL(4));
            }
      float *t = old; old = now; now = t;
    }
    double seconds = now_s() - begin;
    if (seconds < best) best = seconds;
    norm = 0;
    for (long x = 0; x < n; x++)
      for (long y = 0; y < n; y++)
        for (long z = 0; z < n; z++) norm += pow(now[(x + G) * plane + (y + G) * row + z + G], 2);
  }
  printf("%.9g %.9g\n", best, sqrt(norm));
}
