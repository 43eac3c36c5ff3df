//! How long-running tasks tell how far they are. A bar appears on stderr for what takes over a second; nothing where stderr is
//! no terminal or the user wants quiet.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Makes a [`Meter`] for a task. Shared between threads.
pub trait Progress: Send + Sync {
    /// `total` is the number of steps, where it is known.
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn Meter>;
}

/// The progress of one task; dropping it ends it.
pub trait Meter: Send + Sync {
    /// Steps done so far.
    fn update(&self, done: u64);
    /// A word on the state: `loss 3.1e-4`.
    fn message(&self, text: &str);
    fn finish(&self);
}

/// Says nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: Option<u64>) -> Box<dyn Meter> {
        Box::new(Silent)
    }
}

impl Meter for Silent {
    fn update(&self, _: u64) {}
    fn message(&self, _: &str) {}
    fn finish(&self) {}
}

/// Bars on stderr, or nothing where stderr is not a terminal.
pub fn on_terminal(quiet: bool) -> Box<dyn Progress> {
    if quiet || !std::io::stderr().is_terminal() { Box::new(Silent) } else { Box::new(Bars::default()) }
}

/// A task shows itself after this long, and a script hears of it at this interval.
const PATIENCE: Duration = Duration::from_secs(1);

struct Bars(MultiProgress);

impl Default for Bars {
    fn default() -> Bars {
        Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
    }
}

impl Progress for Bars {
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn Meter> {
        Box::new(Bar { all: self.0.clone(), name: name.into(), total, since: Instant::now(), shown: Mutex::default() })
    }
}

struct Bar {
    all: MultiProgress,
    name: String,
    total: Option<u64>,
    since: Instant,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    bar: Option<ProgressBar>,
    done: u64,
    message: String,
}

impl Bar {
    fn refresh(&self, change: impl FnOnce(&mut Shown)) {
        let mut s = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut s);
        if s.bar.is_none() && self.since.elapsed() >= PATIENCE {
            let bar = self.all.add(match self.total {
                Some(n) => ProgressBar::new(n).with_style(style(
                    "{prefix:20!} {bar:20.cyan/black.bright} {pos:>6}/{len} {elapsed} left {eta:>4} {wide_msg:.dim}",
                )),
                None => ProgressBar::new_spinner()
                    .with_style(style("{prefix:24!} {spinner:.cyan} {pos:>6} {elapsed_precise} {wide_msg:.dim}")),
            });
            bar.set_prefix(self.name.clone());
            // What an earlier run had done says nothing about the pace.
            bar.set_position(s.done);
            bar.reset_eta();
            s.bar = Some(bar.with_elapsed(self.since.elapsed()));
        }
        if let Some(bar) = &s.bar {
            bar.set_position(s.done);
            if bar.message() != s.message {
                bar.set_message(s.message.clone());
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}

impl Meter for Bar {
    fn update(&self, done: u64) {
        self.refresh(|s| s.done = done);
    }

    fn message(&self, text: &str) {
        self.refresh(|s| s.message = text.into());
    }

    fn finish(&self) {
        let s = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = &s.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

/// JSON lines to a writer: `{"kind":"progress","task":…,"done":…,"total":…,"message":…,"seconds":…}`, at most one a second and task.
pub struct Lines<W>(std::sync::Arc<Mutex<W>>);

impl<W: Write + Send + 'static> Lines<W> {
    pub fn new(to: W) -> Lines<W> {
        Lines(std::sync::Arc::new(Mutex::new(to)))
    }
}

impl<W: Write + Send + 'static> Progress for Lines<W> {
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn Meter> {
        let now = Instant::now();
        Box::new(Line {
            to: self.0.clone(),
            name: name.into(),
            total,
            since: now,
            state: Mutex::new(LineState { last: now, done: 0, message: String::new(), told: false, ended: false }),
        })
    }
}

struct Line<W: Write + Send> {
    to: std::sync::Arc<Mutex<W>>,
    name: String,
    total: Option<u64>,
    since: Instant,
    state: Mutex<LineState>,
}

struct LineState {
    last: Instant,
    done: u64,
    message: String,
    told: bool,
    ended: bool,
}

impl<W: Write + Send> Line<W> {
    fn change(&self, change: impl FnOnce(&mut LineState), end: bool) {
        let mut s = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if s.ended {
            return;
        }
        change(&mut s);
        s.ended = end;
        // What was over before anybody could wonder is not told at all.
        if (end && s.told) || (!end && s.last.elapsed() >= PATIENCE) {
            s.last = Instant::now();
            s.told = true;
            let line: Value = json!({
                "kind": "progress", "task": self.name, "done": s.done, "total": self.total, "message": s.message,
                "seconds": (self.since.elapsed().as_secs_f64() * 1e3).round() / 1e3, "finished": end,
            });
            let _ = writeln!(self.to.lock().unwrap_or_else(std::sync::PoisonError::into_inner), "{line}");
        }
    }
}

impl<W: Write + Send> Meter for Line<W> {
    fn update(&self, done: u64) {
        self.change(|s| s.done = done, false);
    }

    fn message(&self, text: &str) {
        self.change(|s| s.message = text.into(), false);
    }

    fn finish(&self) {
        self.change(|_| (), true);
    }
}

impl<W: Write + Send> Drop for Line<W> {
    fn drop(&mut self) {
        self.change(|_| (), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tasks_are_silent_and_nothing_is_told_twice() {
        let lines = Lines::new(Vec::new());
        let meter = lines.start("solve", Some(3));
        meter.update(3);
        meter.finish();
        drop(meter);
        assert!(lines.0.lock().unwrap().is_empty());
    }
}
