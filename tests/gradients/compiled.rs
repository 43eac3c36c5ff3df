//! Every case and its derivatives, compiled, against the interpreter.

use super::cases::cases;
use super::check::noise;
use mslc::ad;
use mslc::backend::{Options, compile};
use mslc::ir::eval::eval;
use mslc::ir::{Func, Tensor};
use mslc::passes::optimise;

#[test]
fn compiled_derivatives_are_those_of_the_interpreter() {
    let mut wrong = vec![];
    for c in cases() {
        let gradient = ad::vjp(&c.f, &c.wrt);
        let mut second = ad::jvp(&gradient, &c.wrt);
        second.outputs.drain(..gradient.outputs.len());
        for (kind, f) in [("value", c.f.clone()), ("reverse mode", gradient), ("second order", second)] {
            let further: Vec<Tensor> =
                f.inputs[c.inputs.len()..].iter().enumerate().map(|(k, t)| noise(&t.shape, 3 + k as u64)).collect();
            let inputs = [&c.inputs[..], &further].concat();
            let f = optimise(f);
            if let Err(e) = agree(&f, &inputs) {
                wrong.push(format!("{} of {}: {e}", kind, c.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn agree(f: &Func, inputs: &[Tensor]) -> Result<(), String> {
    let expected = eval(f, inputs).map_err(|e| format!("interpreter: {e}"))?;
    let run = compile(f, &Options { threads: 2, ..Options::default() }).map_err(|e| e.to_string())?;
    let found = run.run(inputs).map_err(|e| e.to_string())?;
    for (k, (e, g)) in expected.iter().zip(&found).enumerate() {
        let scale = e.to_f64().iter().fold(1.0f64, |m, x| m.max(x.abs()));
        for (e, g) in e.to_f64().iter().zip(g.to_f64()) {
            if (e - g).abs() > 1e-11 * scale {
                return Err(format!("output {k}: {g} is not {e}"));
            }
        }
    }
    Ok(())
}
