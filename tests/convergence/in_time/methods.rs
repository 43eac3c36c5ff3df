//! What is offered: integrators and spaces, one line each.

/// A method in time as a column.
pub struct Integrator {
    /// Its name in MSL; the only argument is the step.
    pub name: &'static str,
    pub order: usize,
}

pub const INTEGRATORS: &[Integrator] = &[
    Integrator { name: "euler", order: 1 },
    Integrator { name: "heun", order: 2 },
    Integrator { name: "ssprk3", order: 3 },
    Integrator { name: "bogacki_shampine", order: 3 },
    Integrator { name: "rk4", order: 4 },
    Integrator { name: "dormand_prince", order: 5 },
    Integrator { name: "implicit_euler", order: 1 },
    Integrator { name: "bdf2", order: 2 },
    Integrator { name: "crank_nicolson", order: 2 },
    Integrator { name: "sdirk2", order: 2 },
    Integrator { name: "sdirk3", order: 3 },
    Integrator { name: "esdirk4", order: 4 },
    Integrator { name: "ros3p", order: 3 },
    Integrator { name: "rodas4", order: 4 },
    Integrator { name: "imex_euler", order: 1 },
    Integrator { name: "imex_trapezoid", order: 1 },
    Integrator { name: "ars222", order: 2 },
    Integrator { name: "ark4", order: 4 },
    Integrator { name: "etdrk2", order: 2 },
    Integrator { name: "etdrk4", order: 4 },
    Integrator { name: "verlet", order: 2 },
    Integrator { name: "yoshida4", order: 4 },
];

impl Integrator {
    /// Steps of the coarsest run over a span of 1: small errors that are no rounding.
    pub fn steps(&self) -> usize {
        match self.order {
            1 => 40,
            2 => 24,
            3 => 16,
            4 => 12,
            _ => 8,
        }
    }
}
