//! Types, ranks and shapes.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "shapes.mismatch",
        title: "one shape found, another expected",
        explanation: "Numbers, vectors, matrices, stiffnesses, lists and texts do not turn into each other silently, and a \
                      number is not spread over a vector. A list of numbers serves as a vector, a list of vectors as a \
                      matrix, a list of symmetric matrices as a stiffness. The identity is `I`, a symmetric part `sym(A)`.",
    },
    Code {
        id: "shapes.product",
        title: "a product that these shapes do not have",
        explanation: "`*` multiplies by a number, `·` contracts one index (matrix times vector), `::` two, `⊗` none. There \
                      is no silent component-wise product.",
    },
    Code {
        id: "shapes.advection",
        title: "`u·∇v` of a vector",
        explanation: "With (∇v)[i, j] = ∂vᵢ/∂xⱼ, the transport of v by u is (∇v)·u, written advect(u, v). `u·∇v` would \
                      contract the other index, which is rarely meant.",
    },
    Code {
        id: "shapes.field",
        title: "a field where a value is asked for, or the reverse",
        explanation: "A field has a value at every point of its domain; mean, an integral or a point `f(x, y)` makes one \
                      value of it. Derivatives exist of fields only.",
    },
    Code {
        id: "shapes.domains",
        title: "fields over different domains",
        explanation: "A pointwise operation needs both operands at the same points. Carry one over with its value at \
                      points, its mean, or a closure.",
    },
    Code {
        id: "shapes.axis",
        title: "a coordinate that the domain does not have",
        explanation: "Coordinates are x, y, z in this order, as many as the domain has dimensions.",
    },
    Code {
        id: "shapes.arguments",
        title: "too many or too few arguments",
        explanation: "Every parameter without a default needs an argument, and there is none beyond. Arguments are given \
                      in order or by name.",
    },
    Code {
        id: "shapes.call",
        title: "a call of something that is no function",
        explanation: "Functions, nets, closures, systems and datasets can be called; a field can be read at a point. A \
                      product needs `*`.",
    },
    Code {
        id: "shapes.condition",
        title: "a condition that is neither true nor false",
        explanation: "`if`, `and`, `or`, `not` work on comparisons.",
    },
    Code {
        id: "shapes.index",
        title: "an index that does not fit",
        explanation: "Indices are whole numbers from 0; a vector has one, a matrix two.",
    },
    Code {
        id: "shapes.items",
        title: "a walk over something that has no items",
        explanation: "`for x in …` walks over lists, samples, vectors and ranges of whole numbers. n evenly spaced values \
                      are linspace(a, b, n).",
    },
    Code {
        id: "shapes.number",
        title: "a number is expected",
        explanation: "Arithmetic is on numbers, vectors, tensors and fields of them, or on lists of these.",
    },
    Code {
        id: "shapes.size",
        title: "a size that is no whole number",
        explanation: "Vec(n), Mat(m, n), Sym(n) take whole numbers, or names bound by the argument’s own shape.",
    },
];
