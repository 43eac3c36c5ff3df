//! A panic is a bug in mslc, and the message says so. Exit code 101.

use std::io::Write;

/// Replaces the standard panic message.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let what = if let Some(s) = info.payload().downcast_ref::<&str>() {
            s
        } else if let Some(s) = info.payload().downcast_ref::<String>() {
            s
        } else {
            "no message"
        };
        let place = info.location().map(|l| l.to_string()).unwrap_or_default();
        let command: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
        let mut err = std::io::stderr().lock();
        let _ = writeln!(
            err,
            "\nthis is a bug in mslc, not in your program: {what}\n  at {place}\n  mslc {} on {} {}\n  command: {}\n\
             Please report it with these lines and the program: {}\n\
             Results of tasks that had finished are kept. RUST_BACKTRACE=1 adds a backtrace.",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            command.join(" "),
            report_to(),
        );
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            let _ = writeln!(err, "{}", std::backtrace::Backtrace::force_capture());
        }
    }));
}

/// Where the project takes bug reports.
fn report_to() -> &'static str {
    match option_env!("CARGO_PKG_REPOSITORY") {
        Some(url) if !url.is_empty() => url,
        _ => "open an issue where you got mslc from",
    }
}
