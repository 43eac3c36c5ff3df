//! Conservation laws on finite volumes: the numerical flux as written, and whether a step is stable at the start.

use super::Run;
use crate::base::Span;
use crate::discretize::Balance;
use crate::discretize::conservation::{self, Limiter, Rates, Reconstruction, Riemann};
use crate::integrate::Tableau;
use crate::ir::{Func, Reduce, Tensor, Type, eval};
use crate::lower::Lower;
use crate::lower::call::Args;
use crate::lower::error::{Result, error, error_help};
use crate::lower::functional::refused;
use crate::lower::solve::{Border, Scheme, Shared};
use crate::lower::system::Equations;
use crate::lower::value::{Num, Value};
use std::f64::consts::PI;

impl Lower<'_> {
    /// The rates of a balance with the scheme's reconstruction and fluxes, and their arguments after the state.
    pub(super) fn conservation_rates(
        &mut self,
        run: &Run,
        eqs: &Equations,
        balance: &Balance,
        shared: &Shared,
    ) -> Result<(Rates, Vec<Num>)> {
        let (riemann, captured) = self.riemann(eqs, balance, shared, run.scheme, run.span)?;
        let how = run.scheme.reconstruct.unwrap_or(Reconstruction::Muscl(Limiter::VanLeer));
        let made = conservation::rates(balance, &run.space.mesh, how, &riemann).map_err(|r| refused(r, run.span))?;
        let centres = Num::Const(run.space.node_coordinates());
        let mut args = vec![];
        for (field, gradient) in &shared.interior_data {
            args.push(self.discrete_at_points(field, *gradient, &centres));
        }
        for (on, points) in shared.boundary_data.iter().zip(&made.points) {
            for (field, gradient) in on {
                args.push(self.discrete_at_points(field, *gradient, &Num::Const(points.clone())));
            }
        }
        args.extend(shared.numbers.iter().cloned());
        args.extend(captured);
        Ok((made, args))
    }

    /// The numerical flux, and what it captured.
    fn riemann(
        &mut self,
        eqs: &Equations,
        balance: &Balance,
        shared: &Shared,
        scheme: &Scheme,
        span: Span,
    ) -> Result<(Riemann, Vec<Num>)> {
        let kind = match &scheme.riemann {
            None => "rusanov",
            Some(Value::Record(r)) => r.kind.as_str(),
            Some(f @ Value::Function(_)) => return self.given_flux(f, eqs, balance, shared, span),
            Some(_) => "",
        };
        match kind {
            "rusanov" => Ok((Riemann::Rusanov, vec![])),
            "hll" => Ok((Riemann::Hll, vec![])),
            "upwind" => Ok((Riemann::Upwind, vec![])),
            _ => error_help(
                "run.scheme",
                span,
                "`riemann` is `rusanov`, `hll`, `upwind`, or a function of the states beside a face",
                "for example `riemann=hllc(1.4)`; a function takes the unknowns on the left, those on the right, then the normal",
            ),
        }
    }

    /// `f(unknowns on the left…, on the right…, normal)` as a function of two states. It must agree with the flux of the equations
    /// where the states do.
    fn given_flux(
        &mut self,
        f: &Value,
        eqs: &Equations,
        balance: &Balance,
        shared: &Shared,
        span: Span,
    ) -> Result<(Riemann, Vec<Num>)> {
        let (c, d) = (balance.components, balance.dimension);
        let shapes: Vec<Vec<usize>> = eqs.unknowns.iter().map(|u| u.shape.clone()).collect();
        let depth = self.tracer.depth();
        let inputs = self.tracer.open("riemann", &[Type::f64([c]), Type::f64([c]), Type::f64([d])]);
        let traced = (|| {
            let mut values = vec![];
            for state in &inputs[..2] {
                let mut start = 0;
                for shape in &shapes {
                    let n: usize = shape.iter().product();
                    let v = self.tracer.build(&[state], |b, v| {
                        let part = b.slice(v[0], 0, start, start + n);
                        b.reshape(part, shape)
                    });
                    start += n;
                    values.push((None, Value::Num(v), span));
                }
            }
            // On a line the normal is a number, as momentum is; a vector of one where that is.
            let number = d == 1 && !shapes.contains(&vec![1]);
            let normal = self.tracer.build(&[&inputs[2]], |b, v| if number { b.index(v[0], 0, 0) } else { v[0] });
            values.push((None, Value::Num(normal), span));
            let out = self.call(f, Args { values }, span)?;
            let parts = match out {
                Value::List(items) => items.to_vec(),
                one => vec![one],
            };
            if parts.len() != shapes.len() {
                let message = format!("the flux function gives {} values for {} unknowns", parts.len(), shapes.len());
                return error("run.scheme", span, message);
            }
            let mut flat = vec![];
            for (part, shape) in parts.iter().zip(&shapes) {
                let v = self.num(part, span)?;
                if v.shape() != shape {
                    return error(
                        "run.scheme",
                        span,
                        "the flux function gives a value of another shape than its unknown",
                    );
                }
                let n: usize = shape.iter().product();
                flat.push(self.tracer.build(&[&v], |b, v| b.reshape(v[0], &[n])));
            }
            let refs: Vec<&Num> = flat.iter().collect();
            Ok(self.tracer.build(&refs, |b, v| b.concat(v, 0)))
        })();
        let (flux, captured) = match traced {
            Ok(out) => self.tracer.close(&[out]),
            Err(e) => {
                self.tracer.abandon(depth);
                return Err(e);
            }
        };
        let types = captured.iter().map(|n| n.ty().clone()).collect();
        let riemann = Riemann::Given { flux, captured: types };
        if inconsistent(&riemann, balance, &shared.numbers, &captured) {
            return error_help(
                "discretize.riemann",
                span,
                format!("between two equal states this flux is not the one of `{}`", balance.name),
                "the function gives the fluxes in the order of the unknowns; check its parameters (γ) against the equations",
            );
        }
        Ok((riemann, captured))
    }

    /// Refuses a step over which waves of the state at the start run further than the method is stable for.
    pub(super) fn check_courant(&mut self, run: &Run, tableau: &Tableau, start: &Num) -> Result<()> {
        self.at_time(Num::scalar(run.start), |l| l.courant_at_start(run, tableau, start))
    }

    fn courant_at_start(&mut self, run: &Run, tableau: &Tableau, start: &Num) -> Result<()> {
        let Run { problem, scheme, space, h, span, .. } = *run;
        let mut eqs = self.equations(problem)?;
        self.settle(&mut eqs, true)?;
        eqs.rates = true;
        let capacity = self.capacities(&mut eqs, space, true, span)?;
        let (balance, shared) = self.balance(&eqs, &Border::None, span)?;
        if capacity.is_some() || !conservation::convects(&balance) {
            return Ok(());
        }
        let (made, mut args) = self.conservation_rates(run, &eqs, &balance, &shared)?;
        args.insert(0, start.clone());
        let refs: Vec<&Num> = args.iter().collect();
        let fastest = self.tracer.build(&refs, |b, v| {
            let all = b.inline(&made.courant, v)[0];
            let axes: Vec<usize> = (0..b.ty(all).rank()).collect();
            b.reduce(Reduce::Max, all, &axes)
        });
        // Inside a function whose arguments are not known yet there is nothing to foresee.
        if fastest.known().is_none() && self.tracer.snapshot(std::slice::from_ref(&fastest)).is_none() {
            return Ok(());
        }
        let rate = self.compute(&[fastest], span)?[0].item();
        let how = scheme.reconstruct.unwrap_or(Reconstruction::Muscl(Limiter::VanLeer));
        let limit = courant_limit(how, tableau);
        // Speeds of three and more unknowns are bounds, up to a quarter too large for a gas.
        let slack = if balance.components > 2 { 1.25 } else { 1.0 };
        if rate.is_finite() && rate * h > limit * slack * (1.0 + 1e-9) {
            return error_help(
                "run.courant",
                span,
                format!(
                    "steps of {h:.3e} s are too long: at the start waves cross {:.2} cells in one, `{}` with this reconstruction bears {limit:.2}",
                    rate * h,
                    tableau.name
                ),
                format!("choose a step of at most {:.2e} s", 0.9 * limit / rate),
            );
        }
        Ok(())
    }
}

/// Whether a flux of two equal states differs from that of the law, at any of some states where both are finite.
fn inconsistent(riemann: &Riemann, balance: &Balance, shared: &[Num], captured: &[Num]) -> bool {
    let known = |all: &[Num]| all.iter().map(|n| n.tensor().cloned()).collect::<Option<Vec<Tensor>>>();
    let (Some(shared), Some(captured)) = (known(shared), known(captured)) else { return false };
    if !balance.point_data.is_empty() {
        return false;
    }
    let (c, d) = (balance.components, balance.dimension);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for axis in 0..d {
        let Ok(face) = riemann.face(balance, axis) else { return false };
        let law = conservation::convection(balance, axis);
        for _ in 0..40 {
            let u: Vec<f64> = balance.nominal.iter().map(|n| n * 25f64.powf(random() - 0.5)).collect();
            let u = Tensor::f64([c], u);
            let x = Tensor::f64([d], vec![0.5; d]);
            let run = |f: &Func, args: &[&[Tensor]]| eval::eval(f, &args.concat()).ok().map(|o| o[0].to_f64().to_vec());
            let pair = [u.clone(), u.clone(), x.clone()];
            let (Some(a), Some(b)) = (run(&face, &[&pair, &shared, &captured]), run(&law, &[&[u, x], &shared])) else {
                return false;
            };
            let size = b.iter().fold(0.0f64, |s, x| s.max(x.abs()));
            if a.iter().chain(&b).all(|x| x.is_finite())
                && a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 1e-6 * size.max(1e-30))
            {
                return true;
            }
        }
    }
    false
}

/// The largest Courant number at which no wave carried by the unlimited scheme grows; limited slopes allow 1/2 at least.
fn courant_limit(how: Reconstruction, tableau: &Tableau) -> f64 {
    let stable = |number: f64| {
        (1..=64).all(|k| {
            let (re, im) = how.symbol(PI * k as f64 / 64.0);
            amplification(tableau, (number * re, number * im)) <= 1.0 + 1e-6
        })
    };
    let (mut low, mut high) = (0.0, 4.0);
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        if stable(middle) { low = middle } else { high = middle }
    }
    if how == Reconstruction::First { low } else { f64::max(low, 0.5) }
}

/// `|R(z)|` of an explicit method.
fn amplification(tableau: &Tableau, z: (f64, f64)) -> f64 {
    let times = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    let mut slopes: Vec<(f64, f64)> = vec![];
    let sum = |slopes: &[(f64, f64)], weight: &dyn Fn(usize) -> f64| {
        slopes.iter().enumerate().fold((1.0, 0.0), |s, (j, k)| (s.0 + weight(j) * k.0, s.1 + weight(j) * k.1))
    };
    for i in 0..tableau.stages() {
        let stage = sum(&slopes, &|j| tableau.a(i, j));
        slopes.push(times(z, stage));
    }
    let end = sum(&slopes, &|j| tableau.b[j]);
    end.0.hypot(end.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrate::tableau;

    /// Known limits: 1 for Euler and Heun's method upwind; WENO5 with three stages 1.43 with reconstructed fluxes
    /// [Motamed, Macdonald & Ruuth 2011], near it with interpolated values.
    #[test]
    fn limits_of_known_pairs() {
        let limit = |how, name| courant_limit(how, tableau(name).unwrap());
        assert!((limit(Reconstruction::First, "euler") - 1.0).abs() < 1e-3);
        assert!((limit(Reconstruction::First, "heun") - 1.0).abs() < 1e-3);
        assert!((limit(Reconstruction::First, "ssprk3") - 1.256).abs() < 5e-3);
        let weno = limit(Reconstruction::Weno5, "ssprk3");
        assert!((1.2..1.7).contains(&weno), "{weno}");
    }
}
