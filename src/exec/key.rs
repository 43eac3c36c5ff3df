//! The fingerprint of a function: of what it computes, so that equal work is done once, whatever the program that asks for it.

use crate::base::Fingerprint;
use crate::base::fingerprint::Hasher;
use crate::ir::{Func, Op, SolveSpec, Tensor};
use std::collections::HashMap;
use std::sync::Arc;

/// Results of an older compiler are not reused: bits may differ.
const VERSION: &str = concat!("mslc ", env!("CARGO_PKG_VERSION"));

pub fn of(func: &Func, backend: &str) -> Fingerprint {
    let mut h = Hasher::new(VERSION);
    h.text(backend).part(Keys::default().func(func));
    h.finish()
}

/// Fingerprints of bodies, by address while they are shared.
#[derive(Default)]
struct Keys {
    seen: HashMap<usize, Fingerprint>,
}

impl Keys {
    fn body(&mut self, f: &Arc<Func>) -> Fingerprint {
        let address = Arc::as_ptr(f) as usize;
        if let Some(k) = self.seen.get(&address) {
            return *k;
        }
        let k = self.func(f);
        self.seen.insert(address, k);
        k
    }

    fn func(&mut self, f: &Func) -> Fingerprint {
        let mut h = Hasher::new("func");
        for t in &f.inputs {
            h.text(&t.to_string());
        }
        for node in &f.nodes {
            for a in &node.args {
                h.integer(a.0 as u64);
            }
            match &node.op {
                Op::Const(t) => {
                    h.text("const").part(tensor(t));
                }
                Op::Map { body, n, mapped } => {
                    h.text(&format!("map {n} {mapped:?}")).part(self.body(body));
                }
                Op::Scan { body, length, carry, xs, reverse } => {
                    h.text(&format!("scan {length} {carry} {xs} {reverse}")).part(self.body(body));
                }
                Op::Solve { residual, spec } => {
                    h.text("solve").part(self.body(residual)).part(self.spec(spec));
                }
                Op::LinearSolve { residual, spec, transposed } => {
                    h.text(&format!("linear solve {transposed}")).part(self.body(residual)).part(self.spec(spec));
                }
                Op::Cond { then, otherwise } => {
                    h.text("cond").part(self.body(then)).part(self.body(otherwise));
                }
                Op::Memo { body, spec } => {
                    h.text(&format!("memo {} {:?} {:?}", spec.reuse, spec.scale, spec.slopes)).part(self.body(body));
                }
                // The rest say all there is to know in their debug form.
                other => {
                    h.text(&format!("{other:?}"));
                }
            }
        }
        for v in &f.outputs {
            h.integer(v.0 as u64);
        }
        h.finish()
    }

    fn spec(&mut self, s: &SolveSpec) -> Fingerprint {
        let mut h = Hasher::new("spec");
        h.text(&format!(
            "{} {} {} {:?} {} {} {} {}",
            s.linear,
            s.symmetric,
            s.constant_kernel,
            s.solver,
            s.linear_tolerance,
            s.newton_tolerance,
            s.newton_iterations,
            s.may_fail
        ));
        if let Some(j) = &s.jacobian {
            h.part(self.func(&j.values));
            for b in &j.blocks {
                h.part(tensor(&b.rows)).part(tensor(&b.cols));
            }
        }
        h.finish()
    }
}

fn tensor(t: &Tensor) -> Fingerprint {
    let mut h = Hasher::new("tensor");
    h.text(&t.ty.to_string());
    match t.in_file() {
        // What is in a file has a name that tells its content; reading gigabytes to name them again would tell no more.
        Some((name, start)) => h.text("in a file").part(name).integer(start as u64),
        None if cfg!(target_endian = "little") => h.bytes(t.raw()),
        None => h.bytes(&t.bytes()),
    };
    h.finish()
}
