//! Ctrl-C asks tasks to stop at their next safe point. A second one, or a task that comes to none soon, ends the process at once.
//! Finished tasks are on the disk already, so either way nothing of them is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ASKED: AtomicBool = AtomicBool::new(false);
/// A task has seen that it should stop.
static HEARD: AtomicBool = AtomicBool::new(false);

/// A task that has not come to a safe point after this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Installs the handler; once a process.
pub fn install() {
    // A second handler is refused, which is no harm: the first one does the same.
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: stopping; press Ctrl-C again to stop at once");
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE);
            if !HEARD.load(Ordering::SeqCst) {
                eprintln!("stopped inside a task; those that had finished are kept, and the same command resumes");
                std::process::exit(130);
            }
        });
    });
}

/// Whether the user has asked to stop. Cheap: poll it in every loop of steps, epochs, samples.
pub fn asked() -> bool {
    let asked = ASKED.load(Ordering::Relaxed);
    if asked {
        HEARD.store(true, Ordering::SeqCst);
    }
    asked
}

/// As if the user had pressed Ctrl-C once.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}
