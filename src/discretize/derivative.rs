//! Directional derivatives of pointwise functions.

use crate::ad::jvp_into;
use crate::ir::{Builder, Func, Op, Tensor, Type, Value};

/// A unit step of one element of one input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Direction {
    pub input: usize,
    /// Position in row-major order.
    pub element: usize,
}

impl Direction {
    /// The unit tensor of the input's type.
    pub fn seed(self, ty: &Type) -> Tensor {
        let mut unit = vec![0.0; ty.len()];
        unit[self.element] = 1.0;
        Tensor::f64(ty.shape.clone(), unit)
    }
}

/// A function of the same inputs that gives, for each direction in turn, the derivatives of all outputs of `f` along it.
pub(crate) fn derivative(f: &Func, directions: &[Direction]) -> Func {
    let mut b = Builder::new(format!("{} slopes", f.name));
    let inputs: Vec<Value> = f.inputs.iter().map(|ty| b.input(ty.clone())).collect();
    let mut outputs = vec![];
    for direction in directions {
        let mut tangents = vec![None; inputs.len()];
        tangents[direction.input] = Some(b.constant(direction.seed(&f.inputs[direction.input])));
        let (values, slopes) = jvp_into(&mut b, f, &inputs, &tangents);
        for (value, slope) in values.into_iter().zip(slopes) {
            outputs.push(slope.unwrap_or_else(|| b.zeros_like(value)));
        }
    }
    b.finish(outputs)
}

/// Whether some node of a function uses its k-th input.
pub(crate) fn reads(f: &Func, k: usize) -> bool {
    let is_input = |v: &Value| matches!(f.node(*v).op, Op::Input(i) if i == k);
    f.nodes.iter().any(|n| n.args.iter().any(is_input)) || f.outputs.iter().any(is_input)
}

/// Whether a node is plainly a constant zero.
pub(crate) fn is_zero(f: &Func, v: Value) -> bool {
    match &f.node(v).op {
        Op::Const(t) => t.splat() == Some(0.0),
        Op::Broadcast { .. } | Op::Reshape(_) => is_zero(f, f.node(v).args[0]),
        _ => false,
    }
}
