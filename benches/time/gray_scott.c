// Gray-Scott on a torus, explicit Euler: N STEPS THREADS BLOCKS. A ring of ghosts, arrays that begin at different places of a page.
// Prints seconds of the best block and the mean of u.
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
int main(int argc, char **argv) {
  long n = atol(argv[1]), steps = atol(argv[2]);
  omp_set_num_threads(atoi(argv[3]));
  const double du = 0.16, dv = 0.08, feed = 0.035, kill = 0.065;
  long row = (n + 2 + 7) / 8 * 8, apart = (row * (n + 2) + 511) / 512 * 512 + 136;
  double *memory = aligned_alloc(4096, (4 * apart + 8) / 8 * 64), *w[4], best = 1e30, mean = 0;
  for (int k = 0; k < 4; k++) w[k] = memory + k * apart;
  for (int k = 0; k < atoi(argv[4]); k++) {
    for (long i = 0; i < n + 2; i++)
      for (long j = 0; j < n + 2; j++) {
        int in = i > n / 2 - 10 && i <= n / 2 + 10 && j > n / 2 - 10 && j <= n / 2 + 10;
        w[0][i * row + j] = in ? 0.5 : 1, w[1][i * row + j] = in ? 0.25 : 0;
      }
    double begin = now_s();
#pragma omp parallel
    for (long s = 0; s < steps; s++) {
      double **from = w + s % 2 * 2, **to = w + (s + 1) % 2 * 2;
#pragma omp for schedule(static)
      for (long i = 1; i <= n; i++) {
        const double *restrict u = from[0] + i * row, *restrict v = from[1] + i * row;
        double *restrict p = to[0] + i * row, *restrict q = to[1] + i * row;
#pragma omp simd
        for (long j = 1; j <= n; j++) {
          double uvv = u[j] * v[j] * v[j];
          p[j] = u[j] + du * (u[j - 1] + u[j + 1] + u[j - row] + u[j + row] - 4 * u[j]) - uvv + feed * (1 - u[j]);
          q[j] = v[j] + dv * (v[j - 1] + v[j + 1] + v[j - row] + v[j + row] - 4 * v[j]) + uvv - (feed + kill) * v[j];
        }
        p[0] = p[n], p[n + 1] = p[1], q[0] = q[n], q[n + 1] = q[1];
        long image = i == 1 ? n + 1 : 0;
        if (i == 1 || i == n) memcpy(to[0] + image * row, p, row * 8), memcpy(to[1] + image * row, q, row * 8);
      }
    }
    double seconds = now_s() - begin;
    if (seconds < best) best = seconds;
    mean = 0;
    double *u = w[steps % 2 * 2];
    for (long i = 1; i <= n; i++) for (long j = 1; j <= n; j++) mean += u[i * row + j];
  }
  printf("%.9g %.9g\n", best, mean / n / n);
}
