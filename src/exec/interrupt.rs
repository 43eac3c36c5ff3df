//! Ctrl-C asks tasks to stop at their next safe point; a second one ends the process at once. Finished tasks are on the disk
//! already, so either way nothing of them is lost.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Installs the handler; once a process.
pub fn install() {
    // A second handler is refused, which is no harm: the first one does the same.
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: stopping; press Ctrl-C again to stop at once");
    });
}

/// Whether the user has asked to stop. Cheap: poll it in every loop of steps, epochs, samples.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// As if the user had pressed Ctrl-C once.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}
