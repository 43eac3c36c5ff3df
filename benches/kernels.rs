//! Generated kernels against gcc, and the training step of a small net. Prints ratios: above 1, mslc is faster.
//!
//! The C programs are built with `gcc -O3 -march=native -fopenmp`; both sides run in turn, and the best of several runs counts.

use mslc::ad::grad;
use mslc::backend::{Backend, Executable, Options, compile};
use mslc::ir::{Builder, DType, Func, Op, Tensor, Type, Unary, Value};
use mslc::train::adam::{Adam, AdamOptions};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let threads: usize = std::env::var("THREADS").ok().and_then(|t| t.parse().ok()).unwrap_or(2);
    println!("threads: {threads}");
    if "stencil".contains(&filter) {
        for (n, steps) in [(256, 40), (1024, 4), (4096, 2)] {
            stencil(n, steps, threads);
        }
    }
    if "exp".contains(&filter) {
        for (n, steps) in [(16_384, 60), (1 << 20, 4), (1 << 24, 2)] {
            exponential(n, steps, threads);
        }
    }
    if "roof".contains(&filter) {
        roof(threads);
    }
    if "training".contains(&filter) {
        for dtype in [DType::F64, DType::F32] {
            training(&[2, 32, 32, 32, 3], 256, dtype, threads);
            training(&[2, 64, 64, 64, 1], 2048, dtype, threads);
        }
    }
}

/// Both in turn; seconds of a step of each. Blocks of few steps are timed, and the best of many counts, because other work on the
/// machine disturbs most of them.
fn compared(body: Func, input: &[Tensor], steps: usize, threads: usize, peer: impl Fn(&[String]) -> f64) -> (f64, f64) {
    let run = repeated(body, steps, threads);
    let n = input[0].ty.shape[0];
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < SECONDS {
        let round = Instant::now();
        let mut blocks = 0;
        while blocks < 4 || round.elapsed().as_secs_f64() < 0.2 {
            let t = Instant::now();
            run.run(input).expect("it runs");
            ours = ours.min(t.elapsed().as_secs_f64() / steps as f64);
            blocks += 1;
        }
        let arguments = [n, steps, threads, blocks];
        theirs = theirs.min(peer(&arguments.map(|a| a.to_string())));
    }
    (ours, theirs)
}

/// How long one comparison takes.
const SECONDS: f64 = 6.0;

/// Runs `body` `steps` times in one call.
fn repeated(body: Func, steps: usize, threads: usize) -> Executable {
    let ty = body.inputs[0].clone();
    let mut b = Builder::new("repeated");
    let x = b.input(ty.clone());
    let n = ty.len();
    let out = b.ops(Op::Scan { body: Arc::new(body), length: steps, carry: 1, xs: 0, reverse: false }, &[x]);
    // One element leaves, so that a run is not allocating and copying large results.
    let flat = b.reshape(out[0], &[n]);
    let first = b.slice(flat, 0, 0, 1);
    compile(&b.finish(vec![first]), &Options { threads, backend: Backend::Native }).expect("it compiles")
}

fn best(runs: usize, mut f: impl FnMut() -> f64) -> f64 {
    (0..runs).map(|_| f()).fold(f64::INFINITY, f64::min)
}

/// Compiles a C program; a run of it prints seconds.
fn c_program(name: &str, source: &str, extra: &[&str]) -> impl Fn(&[String]) -> f64 {
    let folder = std::env::temp_dir().join("mslc-kernels");
    std::fs::create_dir_all(&folder).expect("a folder for C programs");
    let (c, exe) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&c, source).expect("write C");
    let built = Command::new("gcc")
        .args(["-O3", "-march=native", "-fopenmp"])
        .args(extra)
        .arg(&c)
        .arg("-o")
        .arg(&exe)
        .arg("-lm")
        .status();
    assert!(built.is_ok_and(|s| s.success()), "gcc builds {name}");
    move |args| {
        let out = Command::new(&exe).args(args).env("OMP_PROC_BIND", "true").output().expect("it runs");
        String::from_utf8_lossy(&out.stdout).trim().parse().expect("seconds")
    }
}

const HEAT_C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>
int main(int c, char **v) {
  int n = atoi(v[1]), steps = atoi(v[2]); omp_set_num_threads(atoi(v[3])); double r = 0.2;
  double *a = aligned_alloc(64, (size_t)n*n*8), *b = aligned_alloc(64, (size_t)n*n*8);
  #pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) { a[(size_t)i*n+j] = (i*7+j*3)%11*0.1; b[(size_t)i*n+j] = 0; }
  double best = 1e9;
  for (int k = 0; k < atoi(v[4]); k++) {
  double t0 = omp_get_wtime();
  for (int s = 0; s < steps; s++) {
    #pragma omp parallel for schedule(static)
    for (int i = 1; i < n-1; i++) {
      const double *restrict p = a + (size_t)i*n; double *restrict q = b + (size_t)i*n;
      for (int j = 1; j < n-1; j++) q[j] = p[j] + r*(p[j+1]+p[j-1]+p[j+n]+p[j-n]-4*p[j]);
    }
    double *t = a; a = b; b = t;
  }
  double t = (omp_get_wtime()-t0)/steps; if (t < best) best = t;
  }
  printf("%.9g\n", best + 0*a[n+1]);
}"#;

fn stencil(n: usize, steps: usize, threads: usize) {
    let mut b = Builder::new("heat");
    let u = b.input(Type::f64([n, n]));
    let at = |b: &mut Builder, i: usize, j: usize| {
        let rows = b.slice(u, 0, i, n - 2 + i);
        b.slice(rows, 1, j, n - 2 + j)
    };
    let (c, e, w, s, t) = (at(&mut b, 1, 1), at(&mut b, 1, 2), at(&mut b, 1, 0), at(&mut b, 2, 1), at(&mut b, 0, 1));
    let sum = b.add(e, w);
    let sum = b.add(sum, s);
    let sum = b.add(sum, t);
    let four = b.scale(c, 4.0);
    let l = b.sub(sum, four);
    let l = b.scale(l, 0.2);
    let new = b.add(c, l);
    let out = b.op(Op::Pad { low: vec![1, 1], high: vec![1, 1], interior: vec![0, 0] }, &[new]);
    let u: Vec<f64> = (0..n * n).map(|k| ((k / n * 7 + k % n * 3) % 11) as f64 * 0.1).collect();
    let input = [Tensor::f64([n, n], u)];
    let (ours, theirs) = compared(b.finish(vec![out]), &input, steps, threads, c_program("heat", HEAT_C, &[]));
    report(&format!("stencil {n}²"), n * n, ours, theirs);
}

/// A field read and one written.
fn report(name: &str, elements: usize, ours: f64, theirs: f64) {
    let speed = 16e-9 * elements as f64;
    println!(
        "{name}: mslc {:.1} µs ({:.1} GB/s), gcc {:.1} µs ({:.1} GB/s), ratio {:.2}",
        1e6 * ours,
        speed / ours,
        1e6 * theirs,
        speed / theirs,
        theirs / ours
    );
}

const EXP_C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <omp.h>
int main(int c, char **v) {
  long n = atol(v[1]); int steps = atoi(v[2]); omp_set_num_threads(atoi(v[3]));
  double *a = aligned_alloc(64, n*8), *b = aligned_alloc(64, n*8);
  #pragma omp parallel for schedule(static)
  for (long i = 0; i < n; i++) { a[i] = (i%1000)*1e-3; b[i] = 0; }
  double best = 1e9;
  for (int k = 0; k < atoi(v[4]); k++) {
  double t0 = omp_get_wtime();
  for (int s = 0; s < steps; s++) {
    double *restrict p = a, *restrict q = b;
    #pragma omp parallel for simd schedule(static)
    for (long i = 0; i < n; i++) q[i] = 0.9*exp(-(p[i]*p[i])) + 0.05;
    double *t = a; a = b; b = t;
  }
  double t = (omp_get_wtime()-t0)/steps; if (t < best) best = t;
  }
  printf("%.9g\n", best + 0*a[1]);
}"#;

fn exponential(n: usize, steps: usize, threads: usize) {
    let mut b = Builder::new("bell");
    let x = b.input(Type::f64([n]));
    let s = b.mul(x, x);
    let s = b.neg(s);
    let e = b.unary(Unary::Exp, s);
    let e = b.scale(e, 0.9);
    let c = b.scalar(0.05);
    let y = b.add(e, c);
    let input = [Tensor::f64([n], (0..n).map(|i| (i % 1000) as f64 * 1e-3).collect::<Vec<_>>())];
    let peer = c_program("bell", EXP_C, &["-ffast-math"]);
    let (ours, theirs) = compared(b.finish(vec![y]), &input, steps, threads, peer);
    report(&format!("exp {n}"), n, ours, theirs);
}

/// The memory roof of a loop that reads one field and writes another: copies with ordinary stores, which read the lines that
/// they write, and with streaming ones, which do not; and McCalpin's triad.
const ROOF_C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>
#include <immintrin.h>
int main(int c, char **v) {
  long n = atol(v[1]); int steps = atoi(v[2]); omp_set_num_threads(atoi(v[3])); int kind = atoi(v[5]);
  double *a = aligned_alloc(64, n*8), *b = aligned_alloc(64, n*8), *d = aligned_alloc(64, n*8);
  #pragma omp parallel for schedule(static)
  for (long i = 0; i < n; i++) { a[i] = (i%1000)*1e-3; b[i] = 0; d[i] = 1; }
  double best = 1e9;
  for (int k = 0; k < atoi(v[4]); k++) {
  double t0 = omp_get_wtime();
  for (int s = 0; s < steps; s++) {
    if (kind == 0) {
      #pragma omp parallel for schedule(static)
      for (long i = 0; i < n; i++) b[i] = a[i] + 1;
    } else if (kind == 1) {
      #pragma omp parallel for schedule(static)
      for (long i = 0; i < n/8; i++) _mm512_stream_pd(b + 8*i, _mm512_load_pd(a + 8*i));
    } else {
      #pragma omp parallel for schedule(static)
      for (long i = 0; i < n; i++) b[i] = a[i] + 3*d[i];
    }
  }
  double t = (omp_get_wtime()-t0)/steps; if (t < best) best = t;
  }
  printf("%.9g\n", best + 0*b[1]);
}"#;

fn roof(threads: usize) {
    let n: usize = 1 << 24;
    let run = c_program("roof", ROOF_C, &[]);
    let fields = [("copy", 2), ("copy with streaming stores", 2), ("triad", 3)];
    let mut seconds = [f64::INFINITY; 3];
    for _ in 0..8 {
        for (kind, s) in seconds.iter_mut().enumerate() {
            *s = s.min(run(&[n, 1, threads, 5, kind].map(|a| a.to_string())));
        }
    }
    for ((name, fields), s) in fields.iter().zip(seconds) {
        println!("roof, {name}: {:.1} GB/s", (8 * fields * n) as f64 / s * 1e-9);
    }
}

/// Loss of an mlp with tanh as a function of one flat vector of parameters, x and y.
fn loss(widths: &[usize], batch: usize, dtype: DType) -> Func {
    let mut b = Builder::new("loss");
    let count: usize = widths.windows(2).map(|w| (w[0] + 1) * w[1]).sum();
    let all = b.input(Type::new(dtype, [count]));
    let mut a = b.input(Type::new(dtype, [batch, widths[0]]));
    let y = b.input(Type::new(dtype, [batch, widths[widths.len() - 1]]));
    let mut at = 0;
    let mut take = |b: &mut Builder, shape: &[usize]| -> Value {
        let n: usize = shape.iter().product();
        let part = b.slice(all, 0, at, at + n);
        at += n;
        b.reshape(part, shape)
    };
    for (k, w) in widths.windows(2).enumerate() {
        let (matrix, bias) = (take(&mut b, w), take(&mut b, &w[1..]));
        let z = b.matmul(a, matrix);
        let bias = b.broadcast_to(bias, &[batch, w[1]]);
        a = b.add(z, bias);
        if k + 2 < widths.len() {
            a = b.unary(Unary::Tanh, a);
        }
    }
    let d = b.sub(a, y);
    let d = b.mul(d, d);
    let sum = b.sum_all(d);
    let mean = b.scale(sum, 1.0 / (batch * widths[widths.len() - 1]) as f64);
    b.finish(vec![mean])
}

fn training(widths: &[usize], batch: usize, dtype: DType, threads: usize) {
    let f = mslc::passes::optimise(grad(&loss(widths, batch, dtype), &[0]));
    let run = compile(&f, &Options { threads, backend: Backend::Native }).expect("it compiles");
    let n = f.inputs[0].len();
    let x: Vec<f64> = (0..batch * widths[0]).map(|i| (i as f64 * 0.37).sin()).collect();
    let outputs = widths[widths.len() - 1];
    let y: Vec<f64> = (0..batch * outputs).map(|i| (i as f64 * 0.11).cos()).collect();
    let start: Vec<f64> = (0..n).map(|i| (i as f64 * 1.7).sin() * 0.3).collect();
    let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let tensor = |shape: Vec<usize>, x: &[f64]| match dtype {
        DType::F32 => Tensor::f32(shape, narrow(x)),
        _ => Tensor::f64(shape, x.to_vec()),
    };
    let (x, y) = (tensor(vec![batch, widths[0]], &x), tensor(vec![batch, outputs], &y));
    let steps = 60;
    let mut last = 0.0;
    let seconds = best(9, || {
        let t = Instant::now();
        let mut p64 = start.clone();
        let mut p32 = narrow(&start);
        let mut adam64 = Adam::<f64>::new(n, AdamOptions::default());
        let mut adam32 = Adam::<f32>::new(n, AdamOptions::default());
        for _ in 0..steps {
            let p =
                if dtype == DType::F32 { Tensor::f32([n], p32.as_slice()) } else { Tensor::f64([n], p64.as_slice()) };
            let out = run.run(&[p, x.clone(), y.clone()]).expect("it runs");
            last = out[0].item();
            match (out[1].as_f64(), out[1].as_f32()) {
                (Some(g), _) => adam64.step(&mut p64, g, 1e-3),
                (_, Some(g)) => adam32.step(&mut p32, g, 1e-3),
                _ => unreachable!("gradients are floats"),
            }
        }
        t.elapsed().as_secs_f64() / steps as f64
    });
    println!("training {widths:?}, batch {batch}, {dtype:?}: {:.1} µs a step (loss {last:.4})", 1e6 * seconds);
}
