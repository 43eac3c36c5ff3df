//! What is said when a run in time breaks.

use crate::base::digits::short;
use crate::base::{Diagnostic, Span};
use crate::ir::{Broke, BrokenRun, Fault, Several, Within};
use crate::lower::evolve::march::{self, Held, Layout, March, Round, Rule};
use crate::lower::runtime::Failure;

/// A sentence, a help, a note, and the code of the diagnostic.
struct Told {
    code: &'static str,
    message: String,
    help: String,
    note: String,
}

/// A fault at the statement that asked for what was computed. `of` knows the runs by their marks.
pub fn diagnosed<'m>(fault: &Fault, of: impl Fn(&str) -> Option<&'m March>, span: Span) -> Failure {
    let (what, place) = (&fault.what, &fault.place);
    let own = march::marked(place).map(|(mark, _)| mark);
    let broken = fault.broken.as_ref().and_then(|broken| Some((broken, of(own?)?)));
    Box::new(match broken {
        Some((broken, m)) => {
            let Told { code, message, help, note } = told(broken, m);
            let around = around(&fault.path, own, &of);
            let within = if around.is_empty() { String::new() } else { format!("; {}", around.join(", ")) };
            Diagnostic::error(code, span, format!("{message}{within}")).help(help).note(note)
        }
        None => {
            let (steps, rest): (Vec<&Within>, Vec<&Within>) = fault.path.iter().partition(|w| of_run(w, &of).is_some());
            let steps: Vec<Within> = steps.into_iter().cloned().collect();
            // The place names the system already.
            let system = format!(" of `{}`", place.split('.').next().unwrap_or(place));
            let when =
                around(&steps, None, &of).into_iter().map(|words| format!(" {}", words.replacen(&system, "", 1)));
            let when: String = when.collect();
            let words: String = rest.into_iter().rev().map(|w| format!("{w}: ")).collect();
            let d = Diagnostic::error("run.failed", span, format!("`{place}` failed{when}: {words}{what}"));
            let run = steps.first().and_then(|within| of_run(within, &of));
            let shorter = run.map(|(.., m)| format!("try half the step, `{}({})`", m.time, short(m.step / 2.0)));
            let help: Vec<String> = shorter.into_iter().chain(fault.help.clone()).collect();
            if help.is_empty() { d } else { d.help(help.join("; ")) }
        }
    })
}

/// What broke, where and when, and what may help.
fn told(broken: &BrokenRun, m: &March) -> Told {
    let t = short(broken.t);
    let which = which(broken, m);
    let when = match m.found {
        true => format!("at t = {t} after {} steps{which}", broken.steps),
        false => format!("at t = {t} in step {} of {}{which}", broken.steps, m.steps),
    };
    let scale = m.of_scale();
    match &broken.how {
        Broke::NotFinite { entry, value, largest } => {
            not_finite(m, (*entry, *value, *largest), (&when, broken.steps == 0), &scale)
        }
        Broke::Start { entry, value } => bad_start(m, (*entry, *value), &which, &scale),
        Broke::Claim { claim, entry, value, conserved } => {
            let held = m.watched.as_ref().and_then(|w| w.claims.get(*claim));
            let held = held.expect("compiler bug: a claim that nobody made");
            claim_broken(m, held, (*entry, *value, *conserved), &when, &scale)
        }
        Broke::Stuck { short, rejected, length } => stuck(m, (*short, *rejected, *length), (broken, &which), &scale),
    }
}

/// What a failure lies in, in words, from the inside out; nothing of the loops of its own run.
fn around<'m>(path: &[Within], own: Option<&str>, of: &impl Fn(&str) -> Option<&'m March>) -> Vec<String> {
    let mut words = vec![];
    // Steps within a sample, until the loop over samples is met.
    let mut inner: Option<(&str, usize)> = None;
    for within in path {
        match (within, of_run(within, of)) {
            (Within::Step(..), None) => {}
            (Within::Step(..), Some((mark, ..))) if Some(mark) == own => {}
            (Within::Step(_, k), Some((mark, round, m))) => {
                let before = inner.take().filter(|(run, _)| *run == mark);
                match (round, m.per_sample) {
                    (Round::Sample, Some(n)) if before.is_some() => {
                        words.pop();
                        words.push(time(m, k * n + before.map_or(n, |(_, steps)| steps)));
                    }
                    (Round::Sample, Some(n)) => words.push(time(m, (k + 1) * n)),
                    _ => {
                        words.push(time(m, k + 1));
                        inner = Some((mark, k + 1));
                    }
                }
            }
            (Within::Item(i, n), _) => words.push(format!("in item {} of {n}", i + 1)),
            (Within::Solve(name), _) => words.push(format!("in the solution of `{name}`")),
            (Within::Else(text), _) => words.push(text.clone()),
        }
    }
    words
}

/// The run of steps of one length that a round belongs to.
fn of_run<'w, 'm>(within: &'w Within, of: &impl Fn(&str) -> Option<&'m March>) -> Option<(&'w str, Round, &'m March)> {
    let Within::Step(body, _) = within else { return None };
    let (mark, round) = march::marked(body).filter(|(_, round)| !round.found())?;
    Some((mark, round, of(mark)?))
}

/// `at t = 0.51 in step 51 of 200 of `Burst` (scale `micro`)`
fn time(m: &March, steps: usize) -> String {
    let t = m.start + steps as f64 * m.step;
    format!("at t = {} in step {steps} of {} of `{}`{}", short(t), m.steps, m.system, m.of_scale())
}

fn which(broken: &BrokenRun, m: &March) -> String {
    let each = broken.which.iter().map(|(several, k, n)| match several {
        Several::Together => format!(", in item {} of {n}", k + 1),
        Several::InTurn => format!(", in run {} of {n} of `{}`", k + 1, m.system),
    });
    each.collect()
}

fn claim_broken(
    m: &March,
    held: &Held,
    (entry, value, conserved): (usize, f64, Option<(f64, f64)>),
    when: &str,
    scale: &str,
) -> Told {
    let (how, help) = match (held.rule, conserved) {
        (Rule::Margin { width, .. }, _) => {
            let place = width.map(|w| m.cell(entry / w.max(1))).unwrap_or_default();
            let how = match value {
                0.0 => format!("does not hold{place}: both sides are equal"),
                value => format!("does not hold{place}: {} are missing", short(-value)),
            };
            let help = "a shorter step, or a scheme that keeps bounds: `fv` with a limiter and `ssprk3`";
            (how, help)
        }
        (Rule::Conserved { .. }, conserved) => {
            let (start, allowed) = conserved.unwrap_or_default();
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
    Told { code: "run.ensure", message, help: help.into(), note: m.method() }
}

fn not_finite(
    m: &March,
    (entry, value, largest): (Option<usize>, f64, Option<usize>),
    (when, first): (&str, bool),
    scale: &str,
) -> Told {
    let became = if value.is_nan() { "not a number" } else { "infinite" };
    let spread = matches!(m.layout, Layout::Elsewhere(_));
    let at = entry.filter(|entry| !spread && *entry < m.entries()).or(largest);
    let (unknown, place) = match at {
        Some(at) if spread => {
            let (unknown, point) = m.of_values(at);
            let place = point.map(|p| m.cell(p)).unwrap_or_default();
            (unknown, format!("; a step before it was largest{place}"))
        }
        Some(at) => {
            let (unknown, point) = m.entry(at);
            (unknown, point.map(|p| m.cell(p)).unwrap_or_default())
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
    let component = at.and_then(|at| if spread { m.number_of_values(at) } else { m.number(at) });
    let equation = component.and_then(|k| m.equation(k)).map(|e| format!("{e}; ")).unwrap_or_default();
    Told { code: "run.unstable", message, help, note: format!("{equation}{}", m.method()) }
}

/// A run that began with something that is not finite.
fn bad_start(m: &March, (entry, value): (Option<usize>, f64), which: &str, scale: &str) -> Told {
    let name = &m.system;
    let known = entry.filter(|k| !matches!(m.layout, Layout::Elsewhere(_)) && *k < m.entries());
    let message = match (known, entry) {
        (Some(at), _) => {
            let (unknown, point) = m.entry(at);
            let place = point.map(|p| m.cell(p)).unwrap_or_default();
            let what = if value.is_nan() { "not a number" } else { "infinite" };
            format!("the initial value of {unknown} of `{name}`{scale} is {what}{place}{which}")
        }
        // Beside the state, tries carry the rates there.
        (None, None) if m.found => format!("the rates of `{name}`{scale} at its initial values are not finite{which}"),
        (None, _) => format!("the initial values of `{name}`{scale} are not finite{which}"),
    };
    let place = if entry.is_none() && m.found { "them" } else { "its `init`" };
    let help = format!("look in {place} for a division by zero, or a root or a logarithm of something negative");
    Told { code: "run.unstable", message, help, note: m.method() }
}

/// Steps that follow the error came to nothing. What stops them is not looked for.
fn stuck(
    m: &March,
    (too_short, rejected, length): (bool, f64, f64),
    (broken, which): (&BrokenRun, &str),
    scale: &str,
) -> Told {
    let (name, t, steps) = (&m.system, short(broken.t), broken.steps);
    let how = if too_short { "stands still" } else { "has come no further than" };
    let at = if too_short { "at " } else { "" };
    let message = format!(
        "`{name}`{scale} {how} {at}t = {t} after {steps} steps ({rejected} rejected){which}: the next one would be {length:.2e} long"
    );
    let help = match too_short {
        true => "the solution may have a singularity there, or jump; or the tolerance lies below what rounding allows",
        false => {
            "allow more steps between two times that are kept, `max_steps=…`, or look for a singularity there; stiff systems want an implicit \
                  method, such as `rodas4`"
        }
    };
    let equations: Vec<String> =
        m.equations.iter().filter(|(name, _)| !name.is_empty()).map(|(_, text)| text.clone()).collect();
    let note = match &equations[..] {
        [one] => format!("{one}; {}", m.method()),
        _ => m.method(),
    };
    Told { code: "run.steps", message, help: help.into(), note }
}

/// A number with its last digits.
fn exact(x: f64) -> String {
    if x == 0.0 || (1e-3..1e6).contains(&x.abs()) { format!("{x}") } else { format!("{x:e}") }
}
