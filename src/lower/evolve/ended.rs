//! How a run ended whose steps are found on the way; where it did not get to its end, what kept it and where.

use super::control::Control;
use super::driver::{ACCEPTED, ENDED, LENGTH, MANY, REJECTED, TIME, Tries};
use super::march::March;
use crate::base::digits::short;
use crate::base::{Diagnostic, Span};
use crate::ir::{Tensor, Value};
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::value::Num;

/// The entry of the state that a run breaks down at.
struct Culprit {
    entry: usize,
    /// A rate that is not finite, if there is one.
    rate: f64,
    /// Of all unknowns, where the state is of another kind.
    of_values: bool,
}

/// Steps of Euler's method by which a state is moved to see what stopped the run, as parts of the last step: those before it were
/// longer.
const REACHES: [f64; 5] = [1.0, 8.0, 64.0, 512.0, 4096.0];

impl Lower<'_> {
    /// An error where a run did not get to its end, from the common numbers and the states there and a little before.
    pub(super) fn well_ended(
        &mut self,
        march: &March,
        tries: &Tries,
        control: &Control,
        end: &[Tensor],
        span: Span,
    ) -> Result<()> {
        let [t, h, accepted, rejected, ended] = [TIME, LENGTH, ACCEPTED, REJECTED, ENDED].map(|k| end[k].item());
        if ended < MANY {
            return Ok(());
        }
        let name = &march.system;
        if ended == MANY {
            let message = format!(
                "`{name}` has reached t = {} after {} steps ({rejected} rejected); the next one would be {h:.2e} long",
                short(t),
                accepted + rejected
            );
            let help = format!(
                "at most {} are taken between two times that are kept: allow more, `max_steps=…`, or look for a singularity there; \
                 stiff systems want an implicit method, such as `rodas4`",
                control.most
            );
            return Err(Box::new(Diagnostic::error("run.steps", span, message).help(help)));
        }
        let [.., state, before] = end else { unreachable!("compiler bug: an end without states") };
        let found = self.culprit(tries, (t, h), (state, before), span)?;
        let scale = march.of_scale();
        let when = format!("at t = {} after {accepted} steps ({rejected} rejected)", short(t));
        let (what, place, component) = match &found {
            Some(c) => {
                let (name, point) = if c.of_values { march.of_values(c.entry) } else { march.entry(c.entry) };
                let component = if c.of_values { march.number_of_values(c.entry) } else { march.number(c.entry) };
                (name, point.map(|p| march.cell(p)).unwrap_or_default(), component)
            }
            None => ("the state".into(), String::new(), None),
        };
        let d = match found.filter(|c| !c.rate.is_finite()) {
            Some(c) => {
                let became = if c.rate.is_nan() { "not a number" } else { "infinite" };
                let message = match c.of_values {
                    false => format!("the rate of {what} of `{name}`{scale} becomes {became}{place}, {when}"),
                    true => {
                        format!("the rates of `{name}`{scale} become {became} {when}; {what} changes fastest{place}")
                    }
                };
                let help = "steps were shortened down to rounding, and that was not enough: a root or a logarithm of something negative, a division by \
                            zero, or a solution that grows without bound";
                Diagnostic::error("run.unstable", span, message).help(help)
            }
            None => {
                let message = format!(
                    "`{name}`{scale} stands still {when}: the next one would be {h:.2e} long; {what} changes fastest{place}"
                );
                let help = "the solution may have a singularity there, or jump; or the tolerance lies below what rounding allows";
                Diagnostic::error("run.steps", span, message).help(help)
            }
        };
        let mut note = march.method();
        if let Some(equation) = component.and_then(|k| march.equation(k)) {
            note = format!("{equation}; {note}");
        }
        Err(Box::new(d.note(note)))
    }

    /// Where the rates of a state, or of a short way from it, are not finite; else where they are largest.
    fn culprit(
        &mut self,
        tries: &Tries,
        (t, h): (f64, f64),
        (state, before): (&Tensor, &Tensor),
        span: Span,
    ) -> Result<Option<Culprit>> {
        let Some(rates) = &tries.rates else {
            let (values, former) = (self.values(tries, t, state, span)?, self.values(tries, t, before, span)?);
            return Ok(most_changed(&values, &former).map(|entry| Culprit {
                entry,
                rate: 0.0,
                of_values: tries.shown.is_some(),
            }));
        };
        let args = [Num::scalar(t), Num::Const(state.clone())];
        let refs: Vec<&Num> = args.iter().chain(&tries.captured).collect();
        let found = self.tracer.build_all(&refs, |b, v| {
            let first = b.inline(rates, v)[0];
            let later = REACHES.map(|reach| {
                let change = b.scale(first, reach * h);
                let (later, moved) = (b.scalar(t + reach * h), b.add(v[1], change));
                let args: Vec<Value> = [later, moved].into_iter().chain(v[2..].iter().copied()).collect();
                b.inline(rates, &args)[0]
            });
            std::iter::once(first).chain(later).collect()
        });
        let known = self.compute(&found, span)?;
        let rates: Vec<Vec<f64>> = known.iter().map(Tensor::to_f64).collect();
        let bad = rates.iter().find_map(|r| r.iter().position(|x| !x.is_finite()).map(|entry| (entry, r[entry])));
        if tries.shown.is_none() {
            let of = |(entry, rate)| Culprit { entry, rate, of_values: false };
            return Ok(bad.or_else(|| largest(&rates[0]).map(|k| (k, rates[0][k]))).map(of));
        }
        // Modes lie nowhere: of what they stand for, a short way on.
        let reach = h * REACHES[REACHES.len() - 1];
        let moved: Vec<f64> = state.to_f64().iter().zip(&rates[0]).map(|(x, r)| x + reach * r).collect();
        let moved = Tensor::f64(state.ty.shape.clone(), moved);
        let (values, later) = (self.values(tries, t, state, span)?, self.values(tries, t, &moved, span)?);
        let rate = bad.map_or(0.0, |(_, rate)| rate);
        Ok(most_changed(&values, &later).map(|entry| Culprit { entry, rate, of_values: true }))
    }

    /// All unknowns of a state, or the state itself where it is made of them.
    fn values(&mut self, tries: &Tries, t: f64, state: &Tensor, span: Span) -> Result<Vec<f64>> {
        let Some(look) = &tries.shown else { return Ok(state.to_f64()) };
        let time = Tensor::scalar(t);
        let given = [state, &time].into_iter().chain(&look.captured);
        let args: Vec<Num> = given.map(|t| Num::Const(t.clone())).collect();
        let refs: Vec<&Num> = args.iter().collect();
        let shown = self.tracer.build(&refs, |b, v| b.inline(&look.func, v)[0]);
        Ok(self.compute(&[shown], span)?[0].to_f64())
    }
}

/// The entry that changed most; where none did, or something is no number, the largest.
fn most_changed(values: &[f64], others: &[f64]) -> Option<usize> {
    let change: Vec<f64> = values.iter().zip(others).map(|(a, b)| a - b).collect();
    let useful = change.iter().all(|x| x.is_finite()) && change.iter().any(|x| *x != 0.0);
    largest(if useful { &change } else { values })
}

/// The entry of the largest size, the first of several.
fn largest(values: &[f64]) -> Option<usize> {
    let size = |k: &usize| if values[*k].is_nan() { f64::INFINITY } else { values[*k].abs() };
    (0..values.len()).max_by(|a, b| size(a).total_cmp(&size(b)).then(b.cmp(a)))
}
