//! The standard library: MSL modules that are part of the program. Their names need no `use`, except those of `LETTERS`.

/// A module's name and text.
pub const MODULES: &[(&str, &str)] = &[
    ("std.math", include_str!("../../stdlib/math.msl")),
    ("std.tensors", include_str!("../../stdlib/tensors.msl")),
    ("std.calculus", include_str!("../../stdlib/calculus.msl")),
    ("std.domains", include_str!("../../stdlib/domains.msl")),
    ("std.schemes", include_str!("../../stdlib/schemes.msl")),
    ("std.riemann", include_str!("../../stdlib/riemann.msl")),
    ("std.data", include_str!("../../stdlib/data.msl")),
    ("std.nn", include_str!("../../stdlib/nn.msl")),
    ("std.optim", include_str!("../../stdlib/optim.msl")),
    ("std.topopt", include_str!("../../stdlib/topopt.msl")),
    ("std.study", include_str!("../../stdlib/study.msl")),
    ("std.physics", include_str!("../../stdlib/physics.msl")),
    ("std.bounds", include_str!("../../stdlib/bounds.msl")),
    ("std.units", include_str!("../../stdlib/units.msl")),
    (LETTERS, include_str!("../../stdlib/indices.msl")),
];

/// `i j k l`, which mean indices inside the brackets of an index only.
pub const LETTERS: &str = "std.indices";
