//! What is offered: integrators and spaces, one line each.

use super::problems::{Conditions, Operator};

/// A method in time: a column.
pub struct Integrator {
    pub name: &'static str,
    /// In MSL, up to the step.
    pub call: &'static str,
    pub order: usize,
    pub explicit: bool,
}

const fn explicit(name: &'static str, call: &'static str, order: usize) -> Integrator {
    Integrator { name, call, order, explicit: true }
}

const fn implicit(name: &'static str, call: &'static str, order: usize) -> Integrator {
    Integrator { name, call, order, explicit: false }
}

pub const INTEGRATORS: &[Integrator] = &[
    explicit("euler", "euler(", 1),
    explicit("heun", "heun(", 2),
    explicit("ssprk3", "ssprk3(", 3),
    explicit("bogacki_shampine", "bogacki_shampine(", 3),
    explicit("rk4", "rk4(", 4),
    explicit("dormand_prince", "dormand_prince(", 5),
    implicit("implicit_euler", "implicit_euler(", 1),
    implicit("crank_nicolson", "crank_nicolson(", 2),
    implicit("sdirk2", "sdirk2(", 2),
    implicit("sdirk3", "sdirk3(", 3),
    implicit("sdirk4", "sdirk4(", 4),
    implicit("esdirk4", "esdirk4(", 4),
    implicit("bdf(1)", "bdf(1, ", 1),
    implicit("bdf(2)", "bdf(2, ", 2),
    implicit("bdf(3)", "bdf(3, ", 3),
    implicit("bdf(4)", "bdf(4, ", 4),
    implicit("bdf(5)", "bdf(5, ", 5),
    implicit("ros3p", "ros3p(", 3),
    implicit("rodas4", "rodas4(", 4),
    implicit("imex_euler", "imex_euler(", 1),
    implicit("imex_trapezoid", "imex_trapezoid(", 1),
    implicit("ars222", "ars222(", 2),
    implicit("ars443", "ars443(", 3),
    implicit("ark4", "ark4(", 4),
    implicit("etdrk2", "etdrk2(", 2),
    implicit("etdrk4", "etdrk4(", 4),
    explicit("verlet", "verlet(", 2),
    explicit("yoshida4", "yoshida4(", 4),
];

impl Integrator {
    /// Steps of the coarsest run over a span of 1, so that errors are small, but no rounding.
    pub fn steps(&self) -> usize {
        let multistep = self.name.starts_with("bdf");
        if multistep { [40, 32, 40, 40, 20][self.order - 1] } else { [40, 24, 32, 16, 14][self.order - 1] }
    }
}

/// A space in which orders in time are measured.
pub struct Space {
    pub name: &'static str,
    /// Without the closing bracket and the time scheme, on a line and in a plane.
    pub call: [&'static str; 2],
    /// What errors are measured against, of explicit methods and of others: the first that takes the problem.
    pub reference: [&'static [&'static str]; 2],
    /// Of the problems.
    pub takes: fn(&Operator, &Conditions) -> bool,
}

/// On periodic domains (where `spectral` takes every operator) heat alone, and what has no conditions at walls.
fn between_walls(o: &Operator, c: &Conditions) -> bool {
    let beyond = ["∂xxx u", "∂xxxx u"].contains(&o.name);
    if c.on.is_empty() { beyond || o.name == "κ ∇²u" || o.carries } else { !beyond }
}

/// Explicit steps where they can be had: nothing is left there by a solver.
const FINE: &[&str] = &["dormand_prince(1/500)", "esdirk4(1/1000)"];

pub const SPACES: &[Space] = &[
    Space {
        name: "Finite differences",
        call: ["fd(order=4, n=10", "fd(order=2, n=6"],
        reference: [FINE; 2],
        takes: |o, c| between_walls(o, c),
    },
    Space {
        name: "Fourier series",
        call: ["spectral(12", "spectral(8"],
        reference: [FINE; 2],
        takes: |_, c| c.on.is_empty(),
    },
    Space {
        name: "Finite volumes, central",
        call: ["fv(n=10", "fv(n=6"],
        reference: [FINE; 2],
        takes: |o, c| !o.carries && between_walls(o, c),
    },
    Space {
        name: "Finite volumes, laws that carry",
        call: ["fv(n=12, reconstruct=weno5", "fv(n=8, reconstruct=weno5"],
        // Implicit diffusion goes by two-point fluxes, which beside walls are others than those of explicit steps.
        reference: [FINE, &["ark4(1/1000)", "dormand_prince(1/500)"]],
        takes: |o, c| o.carries && between_walls(o, c),
    },
    Space {
        name: "Finite elements",
        call: ["fem(order=2, n=5", "fem(order=1, n=3"],
        reference: [&["esdirk4(1/1000)"]; 2],
        takes: |o, c| between_walls(o, c),
    },
];
