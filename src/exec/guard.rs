//! What a run in time is watched for, and what is said when it breaks: numbers that are not finite, claims that no longer hold.

use crate::backend::{Backend, Executable, Options, View, ViewMut, compile};
use crate::base::digits::short;
use crate::base::{Diagnostic, Span};
use crate::ir::Tensor;
use crate::lower::evolve::march::{Held, Layout, Look, March, Rule};
use crate::lower::runtime::Failure;
use std::sync::{Mutex, PoisonError};

/// A run that broke.
#[derive(Clone)]
pub struct Broken {
    pub mark: String,
    /// Steps taken, the bad one included; of those whose lengths are found on the way, the accepted ones.
    pub steps: usize,
    pub t: f64,
    pub what: What,
}

#[derive(Clone)]
pub enum What {
    /// Which entry of the state, if it is one of it, and where the unknowns were largest in the step before: number of an entry.
    NotFinite { entry: Option<usize>, value: f64, largest: Option<usize> },
    /// Which claim, where, the value there.
    Claim { claim: usize, entry: usize, value: f64 },
}

/// A function of the state that is computed between steps, with its memory.
pub struct Glance {
    func: Executable,
    captured: Vec<Tensor>,
    out: Mutex<Vec<Vec<f64>>>,
}

impl Glance {
    pub fn new(look: &Look, threads: usize) -> Option<Glance> {
        let func = crate::passes::optimise(look.func.clone());
        let out = func.output_types().iter().map(|ty| vec![0.0; ty.len()]).collect();
        let func = compile(&func, &Options { threads, backend: Backend::Native }).ok()?;
        Some(Glance { func, captured: look.captured.clone(), out: Mutex::new(out) })
    }

    /// Gives `f` the results at a state and a time; none where they cannot be computed.
    pub fn at<T>(&self, state: &[View], t: f64, f: impl FnOnce(&[Vec<f64>]) -> T) -> Option<T> {
        let t = [t];
        let mut inputs = state.to_vec();
        inputs.push(View::F64(&t));
        inputs.extend(self.captured.iter().map(View::of_tensor));
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<ViewMut> = out.iter_mut().map(|x| ViewMut::F64(x)).collect();
        self.func.run_into(&inputs, &mut views).ok()?;
        Some(f(&out))
    }
}

/// The first claim that does not hold, with the place and the value.
pub fn broken(claims: &[Held], values: &[Vec<f64>]) -> Option<What> {
    claims.iter().zip(values).enumerate().find_map(|(claim, (held, values))| {
        held.broken(values).map(|(entry, value)| What::Claim { claim, entry, value })
    })
}

/// What broke, where and when, and what may help.
pub fn diagnosed(broken: &Broken, m: Option<&March>, span: Span) -> Failure {
    let Some(m) = m else {
        return Box::new(Diagnostic::error("run.unstable", span, "a state became infinite or not a number"));
    };
    let t = short(broken.t);
    let when = match m.found {
        true => format!("at t = {t} after {} steps", broken.steps),
        false => format!("at t = {t} in step {} of {}", broken.steps, m.steps),
    };
    let scale = m.scale.as_ref().map(|s| format!(" (scale `{s}`)")).unwrap_or_default();
    match &broken.what {
        What::NotFinite { entry, value, largest } => {
            not_finite(m, (*entry, *value, *largest), (&when, broken.steps == 0), &scale, span)
        }
        What::Claim { claim, entry, value } => {
            let Some(held) = m.watched.as_ref().and_then(|w| w.claims.get(*claim)) else {
                return Box::new(Diagnostic::error("run.ensure", span, "a claim does not hold"));
            };
            claim_broken(m, held, (*entry, *value), &when, &scale, span)
        }
    }
}

fn claim_broken(m: &March, held: &Held, (entry, value): (usize, f64), when: &str, scale: &str, span: Span) -> Failure {
    let (how, help) = match held.rule {
        Rule::Margin { width, .. } => {
            let place = width.map(|w| cell(m, entry / w.max(1))).unwrap_or_default();
            let how = match value {
                0.0 => format!("does not hold{place}: both sides are equal"),
                value => format!("does not hold{place}: {} are missing", short(-value)),
            };
            let help = "a shorter step, or a scheme that keeps bounds: `fv` with a limiter and `ssprk3`";
            (how, help)
        }
        Rule::Conserved { start, allowed } => {
            let how = format!(
                "does not hold: it was {} at the start and is {} now, a change of {}, beyond {}",
                exact(start),
                exact(value),
                short(value - start),
                short(allowed)
            );
            (
                how,
                "what is written as `∇·(flux)` is conserved by `fv` and `fd`, up to what passes the boundary and sources",
            )
        }
    };
    let message = format!("`ensure {}` of `{}`{scale}: `{}` {how}, {when}", held.name, m.system, held.text);
    let d = Diagnostic::error("run.ensure", span, message).help(help);
    Box::new(if m.equations.is_empty() { d } else { d.note(method(m)) })
}

fn not_finite(
    m: &March,
    (entry, value, largest): (Option<usize>, f64, Option<usize>),
    (when, first): (&str, bool),
    scale: &str,
    span: Span,
) -> Failure {
    let became = if value.is_nan() { "not a number" } else { "infinite" };
    let spread = matches!(m.layout, Layout::Elsewhere(_));
    let at = entry.filter(|entry| !spread && *entry < m.entries()).or(largest);
    let (unknown, place) = match at {
        Some(at) if spread => {
            let (unknown, point) = m.of_values(at);
            let place = point.map(|p| cell(m, p)).unwrap_or_default();
            (unknown, format!("; a step before it was largest{place}"))
        }
        Some(at) => {
            let (unknown, point) = m.entry(at);
            (unknown, point.map(|p| cell(m, p)).unwrap_or_default())
        }
        None => ("the state".to_string(), String::new()),
    };
    let message = match spread {
        _ if at.is_none() && m.found && first => {
            format!("the rates of `{}`{scale} at its initial values are not finite", m.system)
        }
        true => format!("{unknown} of `{}`{scale} became {became} {when}{place}", m.system),
        false => format!("{unknown} of `{}`{scale} became {became}{place}, {when}", m.system),
    };
    let half = short(m.step / 2.0);
    let help = match m.implicit.starts_with("nothing") {
        _ if m.found && first => "look for a division by zero, or a root or a logarithm of something negative, in them".into(),
        _ if m.found => "shorter steps, or such as follow the error, `dormand_prince(tol=…)`; where that does not help, the solution itself may \
                         grow without bound"
            .into(),
        true => format!(
            "try half the step, `{}({half})`: explicit steps of diffusion are limited by the square of the spacing, those of waves and \
             transport by the spacing",
            m.time,
        ),
        false => format!(
            "try half the step, `{}({half})`; where that does not help, the solution itself may grow without bound",
            m.time
        ),
    };
    let mut note = method(m);
    let component = at.and_then(|at| if spread { m.number_of_values(at) } else { m.number(at) });
    if let Some((name, text)) = component.and_then(|k| m.equations.get(k)) {
        let text = text.strip_prefix(&format!("eq {name}:")).map_or(text.as_str(), str::trim);
        note = format!("its equation is `{name}`: {text}; {note}");
    }
    Box::new(Diagnostic::error("run.unstable", span, message).note(note).help(help))
}

fn method(m: &March) -> String {
    match m.found {
        true => format!("{} on {}", m.time, m.space),
        false => format!("{} on {}, a step of {}", m.time, m.space, short(m.step)),
    }
}

/// ` in cell 23 at (0.3672)`
fn cell(m: &March, point: usize) -> String {
    let x: Vec<String> = m.coordinates(point).iter().map(|x| short(*x)).collect();
    format!(" in cell {point} at ({})", x.join(", "))
}

/// A number with its last digits.
fn exact(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) { format!("{x}") } else { format!("{x:e}") }
}
