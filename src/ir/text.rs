//! The text form, for tests and for people. `parse` inverts `print`: the same nodes in the same order, the same bits.
//!
//! ```text
//! func "step" (f64[2] f64[]) {
//!   %0 = input 0 : f64[2]
//!   %1 = input 1 : f64[]
//!   %2 = broadcast [2] [] %1 : f64[2]
//!   %3 = mul %0 %2 : f64[2]
//!   return %3
//! }
//! ```

mod read;
mod write;

pub use read::parse;
pub use write::print;

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use std::sync::Arc;

    /// A function with every kind of attribute.
    fn sample() -> Func {
        let residual = {
            let mut b = Builder::new("residual \"u\"");
            let (u, p) = (b.input(Type::f64([2])), b.input(Type::f64([2])));
            let r = b.sub(u, p);
            Arc::new(b.finish(vec![r]))
        };
        let values = {
            let mut b = Builder::new("jacobian");
            b.input(Type::f64([2]));
            b.input(Type::f64([2]));
            let one = b.full(&Type::f64([2, 1, 1]), 1.0);
            b.finish(vec![one])
        };
        let at = Tensor::index([2, 1], [0, 1]);
        let grid = GridHint {
            points: vec![2],
            periodic: vec![true],
            components: 1,
            unknowns: Arc::from([0, u32::MAX].as_slice()),
        };
        let spec = SolveSpec {
            scale: Some("micro".into()),
            name: "Cell.w".into(),
            linear: true,
            may_fail: true,
            solver: LinearSolver::Multigrid,
            grid: Some(grid),
            jacobian: Some(Arc::new(Jacobian { values, blocks: vec![Block { rows: at.clone(), cols: at }] })),
            ..SolveSpec::default()
        };
        let mut b = Builder::new("sample");
        let (x, y) = (b.input(Type::f64([2])), b.input(Type::f32([2, 3])));
        let c = b.constant(Tensor::f64([2], [0.1, f64::NEG_INFINITY]));
        let spec = Arc::new(spec);
        let u = b.op(Op::Solve { residual: residual.clone(), spec: spec.clone() }, &[x, c]);
        let v = b.op(Op::LinearSolve { residual: residual.clone(), spec, transposed: true }, &[x, u, c]);
        let m = b.map(residual.clone(), 3, vec![false, false], &[u, v])[0];
        let w = b.op(Op::Slice { start: vec![1, 0], end: vec![3, 2], stride: vec![1, 1] }, &[m]);
        let p = b.op(Op::Pad { low: vec![1, 0], high: vec![0, 0], interior: vec![0, 1] }, &[y]);
        let t = b.transpose(y, &[1, 0]);
        let d = b.matmul(y, t);
        let i = b.constant(Tensor::index([2], [1, 0]));
        let g = b.gather(w, i);
        let g = b.op(Op::Roll { axis: 0, shift: -1 }, &[g]);
        let memo = MemoSpec { name: "law".into(), reuse: 0.25, scale: vec![1.0, 2.0], slopes: vec![] };
        let k = b.ops(Op::Memo { body: residual.clone(), spec: Arc::new(memo) }, &[u, v])[0];
        let mask = b.index(x, 0, 0);
        let q = b.ops(Op::Cond { then: residual.clone(), otherwise: residual.clone() }, &[mask, k, u])[0];
        let carry = Op::Scan { body: residual, length: 3, carry: 1, xs: 1, reverse: true };
        let s = b.ops(carry, &[q, m])[0];
        let h = b.reduce(Reduce::Max, g, &[0]);
        b.finish(vec![s, p, d, h])
    }

    #[test]
    fn round_trip() {
        let f = sample();
        verify::verify(&f).unwrap();
        let text = print(&f);
        let again = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(print(&again), text);
        assert_eq!(f, again);
    }

    #[test]
    fn errors_name_the_line() {
        let bad = |text: &str| parse(text).unwrap_err();
        assert_eq!(bad("func \"f\" (f64[]) {\n  %0 = foo : f64[]\n}"), "line 2: unknown operation `foo`");
        let text = "func \"f\" (f64[2]) {\n  %0 = input 0 : f64[2]\n  %1 = add %0 %7 : f64[2]\n  return %1\n}";
        assert_eq!(bad(text), "line 3: %7 is not defined before");
        assert_eq!(bad("func \"f\" (f64[2]) {\n  %0 = input 0 : f64[3]\n"), "line 2: has the type f64[2], not f64[3]");
        assert_eq!(bad("func \"f\" ("), "line 1: expected a type, found the end");
    }
}
