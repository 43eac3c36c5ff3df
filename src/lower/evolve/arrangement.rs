//! How the states of a run are arranged whose steps follow the error, and how they are read.

use super::spectral::Timed;
use super::{Run, rates};
use crate::discretize::grid::Derivatives;
use crate::ir::Tensor;
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::solve::{Integrator, Method, Solved};
use crate::lower::system::Equations;
use crate::lower::value::{Num, Solution};
use std::rc::Rc;

/// How states are arranged.
pub(super) enum Arrangement {
    /// `[c, n…]`
    Components,
    /// `[N, c]`
    Nodes,
    /// Half spectra, with what reads them.
    Spectra(Timed),
}

impl Lower<'_> {
    /// The solution of a state at a time.
    pub(super) fn snapshot(&mut self, run: &Run, state: Num, time: Num, layout: &Arrangement) -> Result<Rc<Solution>> {
        let Run { problem, space, span, .. } = *run;
        let eqs = self.at_time(time.clone(), |l| l.equations(problem))?;
        let (nodal, slopes) = self.read_state(run, state, time, layout)?;
        let solved = Solved { nodal, slopes, numbers: vec![], space: space.clone() };
        self.solution(&eqs, solved, span)
    }

    /// Values and slopes at the nodes, of a state at a time.
    pub(super) fn read_state(
        &mut self,
        run: &Run,
        state: Num,
        time: Num,
        layout: &Arrangement,
    ) -> Result<(Num, Option<Num>)> {
        let Run { scheme, space, .. } = *run;
        let (state, slopes) = match layout {
            Arrangement::Spectra(complete) => self.completed(state, &time, complete),
            _ => {
                let state = match layout {
                    Arrangement::Nodes => state,
                    _ => self.completed_state(run, state, &time)?,
                };
                let slopes = self.own_slopes(scheme, space, &state, !matches!(layout, Arrangement::Nodes));
                (state, slopes)
            }
        };
        let nodal = self.nodal(state, !matches!(layout, Arrangement::Nodes), space);
        Ok((nodal, slopes.map(|s| self.nodal_slopes(s, space))))
    }
}

pub(super) fn layout(integrator: Integrator, method: Method) -> Arrangement {
    match (integrator, method) {
        (
            Integrator::RungeKutta(t),
            Method::Volumes | Method::Chebyshev | Method::Grid(Derivatives::Central { .. }),
        ) if t.explicit() => Arrangement::Components,
        _ => Arrangement::Nodes,
    }
}

/// Typical sizes of the components, spread over a state. What has no rate has no error of its own: it follows from the rest.
pub(super) fn nominal(eqs: &Equations, shape: &[usize], by_component: bool) -> Tensor {
    let rated = rates::stored(eqs);
    let sizes = eqs.unknowns.iter().flat_map(|u| vec![u.nominal; u.shape.iter().product::<usize>()]);
    let sizes: Vec<f64> = sizes.zip(&rated).map(|(x, rated)| if *rated { x } else { f64::INFINITY }).collect();
    if sizes.iter().all(|x| *x == sizes[0] && x.is_finite()) {
        return Tensor::scalar(sizes[0]);
    }
    if sizes.iter().all(|x| x.is_infinite()) {
        // Rates of several unknowns at once.
        return Tensor::scalar(1.0);
    }
    let (c, len) = (sizes.len(), shape.iter().product::<usize>());
    let of = |i: usize| if by_component { i / (len / c) } else { i % c };
    Tensor::f64(shape.to_vec(), (0..len).map(|i| sizes[of(i)]).collect::<Vec<_>>())
}
