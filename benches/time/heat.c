// Heat in the unit square, five points, fixed zero border: N STEPS THREADS BLOCKS. Prints seconds of the best block and the largest error
// against the exact solution of the difference equations.
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
int main(int argc, char **argv) {
  long n = atol(argv[1]), steps = atol(argv[2]);
  omp_set_num_threads(atoi(argv[3]));
  double pi = acos(-1.0), h = 1.0 / (n - 1), r = 0.2, best = 1e30, worst = 0;
  size_t bytes = ((size_t)n * n * 8 + 63) / 64 * 64;
  double *start = aligned_alloc(64, bytes), *a = aligned_alloc(64, bytes), *b = aligned_alloc(64, bytes);
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n; i++)
    for (long j = 0; j < n; j++) {
      int in = i > 0 && j > 0 && i < n - 1 && j < n - 1;
      start[i * n + j] = in ? sin(pi * i * h) * sin(pi * j * h) + 0.5 * sin(3 * pi * i * h) * sin(2 * pi * j * h) : 0;
      a[i * n + j] = b[i * n + j] = 0;
    }
  for (int k = 0; k < atoi(argv[4]); k++) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++) memcpy(a + i * n, start + i * n, n * 8);
    double begin = now_s();
#pragma omp parallel
    {
      double *from = a, *to = b;
      for (long s = 0; s < steps; s++) {
#pragma omp for schedule(static)
        for (long i = 1; i < n - 1; i++) {
          const double *restrict p = from + i * n;
          double *restrict q = to + i * n;
          for (long j = 1; j < n - 1; j++) q[j] = p[j] + r * (p[j - 1] + p[j + 1] + p[j - n] + p[j + n] - 4 * p[j]);
        }
        double *t = from; from = to; to = t;
      }
    }
    double seconds = now_s() - begin;
    if (seconds < best) best = seconds;
    if (steps % 2) { double *t = a; a = b; b = t; }
  }
  double s1 = sin(pi * h / 2), s2 = sin(2 * pi * h / 2), s3 = sin(3 * pi * h / 2);
  double slow = pow(1 - 4 * r * 2 * s1 * s1, steps), fast = pow(1 - 4 * r * (s3 * s3 + s2 * s2), steps);
  for (long i = 0; i < n; i++)
    for (long j = 0; j < n; j++) {
      double e = slow * sin(pi * i * h) * sin(pi * j * h) + 0.5 * fast * sin(3 * pi * i * h) * sin(2 * pi * j * h);
      worst = fmax(worst, fabs(a[i * n + j] - e));
    }
  printf("%.9g %.9g\n", best, worst);
}
