//! The fitted process as IR, differentiable in its inputs.

use super::{GaussianProcess, SOFT};
use crate::ir::{Binary, Builder, DType, Op, Reduce, Tensor, Unary, Value};

impl GaussianProcess {
    /// The mean at scalar arguments, one for each input: `[outputs]`.
    pub fn to_ir(&self, b: &mut Builder, args: &[Value]) -> Value {
        let dtype = b.ty(args[0]).dtype;
        let k = self.covariances_ir(b, args);
        let weights = b.constant(Tensor::f64([self.rows(), self.outputs], self.weights.clone()));
        let y = b.matmul(k, weights);
        let column = |f: fn(&super::Scale) -> f64| self.output_scale.iter().map(f).collect::<Vec<f64>>();
        let deviation = b.constant(Tensor::f64([self.outputs], column(|s| s.deviation)));
        let mean = b.constant(Tensor::f64([self.outputs], column(|s| s.mean)));
        let y = b.mul(y, deviation);
        let y = b.add(y, mean);
        b.op(Op::Cast(dtype), &[y])
    }

    /// The standard deviation of the function there, as a fraction of that of the training outputs: an f64 scalar.
    pub fn deviation_to_ir(&self, b: &mut Builder, args: &[Value]) -> Value {
        let n = self.rows();
        let k = self.covariances_ir(b, args);
        let whitening = b.constant(Tensor::f64([n, n], self.whitening.clone()));
        let white = b.matmul(whitening, k);
        let explained = b.matmul(white, white);
        let signal = b.scalar(self.signal());
        let rest = b.sub(signal, explained);
        let zero = b.scalar(0.0);
        let rest = b.binary(Binary::Max, rest, zero);
        b.unary(Unary::Sqrt, rest)
    }

    fn rows(&self) -> usize {
        self.points.len() / self.inputs
    }

    /// Covariances with all rows, `[rows]`.
    fn covariances_ir(&self, b: &mut Builder, args: &[Value]) -> Value {
        assert_eq!(args.len(), self.inputs, "compiler bug: a Gaussian process of {} inputs", self.inputs);
        let n = self.rows();
        let lengths = self.lengths();
        let mut scaled = vec![];
        for ((&x, s), length) in args.iter().zip(&self.input_scale).zip(&lengths) {
            let x = b.op(Op::Cast(DType::F64), &[x]);
            let mean = b.scalar(s.mean);
            let x = b.sub(x, mean);
            scaled.push(b.scale(x, 1.0 / length));
        }
        let x = b.stack(&scaled, 0);
        let x = b.broadcast_to(x, &[n, self.inputs]);
        let points = b.constant(Tensor::f64([n, self.inputs], self.points.clone()));
        let d = b.sub(x, points);
        let square = b.mul(d, d);
        let square = b.reduce(Reduce::Sum, square, &[1]);
        let soft = b.scalar(SOFT);
        let square = b.add(square, soft);
        let r = b.unary(Unary::Sqrt, square);
        let s = b.scale(r, 5f64.sqrt());
        // (1 + s + s²/3) e^{-s}
        let third = b.scale(s, 1.0 / 3.0);
        let one = b.scalar(1.0);
        let inner = b.add(third, one);
        let inner = b.mul(inner, s);
        let polynomial = b.add(inner, one);
        let minus = b.neg(s);
        let decay = b.unary(Unary::Exp, minus);
        let k = b.mul(polynomial, decay);
        b.scale(k, self.signal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Type;
    use crate::ir::eval::eval;

    #[test]
    fn the_function_agrees_with_the_prediction() {
        let x: Vec<f64> =
            (0..60).map(|i| ((i * 7919) % 97) as f64 / 30.0 + if i % 2 == 0 { 0.0 } else { 250.0 }).collect();
        let y: Vec<f64> = x.chunks(2).flat_map(|x| [(2.0 * x[0]).sin(), x[1] - x[0] * (x[1] - 250.0).cos()]).collect();
        let gp = GaussianProcess::fit(&x, 2, &y, 2, 30).unwrap();
        let mut b = Builder::new("gp");
        let args: Vec<Value> = (0..2).map(|_| b.input(Type::f64([]))).collect();
        let (mean, deviation) = (gp.to_ir(&mut b, &args), gp.deviation_to_ir(&mut b, &args));
        let f = b.finish(vec![mean, deviation]);
        for q in [[0.5, 250.7], [2.0, 252.1], [0.0, 250.1]] {
            let out = eval(&f, &q.map(Tensor::scalar)).unwrap();
            for ((a, b), s) in out[0].to_f64().iter().zip(gp.predict(&q)).zip(&gp.output_scale) {
                assert!((a - b).abs() < 1e-8 * s.deviation, "{a} {b}");
            }
            let relative = gp.deviation(&q)[0] / gp.output_scale[0].deviation;
            // A difference of nearly equal numbers, under a root.
            assert!((out[1].item() - relative).abs() < 1e-5, "{} {relative}", out[1].item());
        }
    }
}
