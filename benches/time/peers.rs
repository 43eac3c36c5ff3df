//! Programs to compare with.

use std::process::Command;

pub struct Peer {
    pub name: String,
    kind: Kind,
}

enum Kind {
    /// An executable and its size.
    C { exe: std::path::PathBuf, size: usize },
    /// A script, its arguments, and the figure of its report to compare.
    Python { script: &'static str, arguments: Vec<String>, figure: &'static str },
}

impl Peer {
    /// Builds one of the C programs.
    pub fn c(name: &str, source: &str, size: usize) -> Peer {
        let folder = std::env::temp_dir().join("mslc-time");
        std::fs::create_dir_all(&folder).expect("a folder for C programs");
        let (c, exe) = (folder.join(format!("{name}.c")), folder.join(name));
        std::fs::write(&c, source).expect("write C");
        let built = Command::new("gcc")
            .args(["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fopenmp"])
            .arg(&c)
            .arg("-o")
            .arg(&exe)
            .arg("-lm")
            .status();
        assert!(built.is_ok_and(|s| s.success()), "gcc builds {name}");
        Peer { name: "gcc".into(), kind: Kind::C { exe, size } }
    }

    pub fn python(name: &str, script: &'static str, arguments: &[&str], figure: &'static str) -> Peer {
        let arguments = arguments.iter().map(|a| a.to_string()).collect();
        Peer { name: name.into(), kind: Kind::Python { script, arguments, figure } }
    }

    /// Seconds of a step in the best of a few blocks, and in the first round of C programs the check figure. None where the
    /// program is not there; Python programs, which take long to start, run in every eighth round.
    pub fn run(&self, threads: usize, round: usize, block: usize, steps: usize) -> Option<(f64, f64)> {
        match &self.kind {
            Kind::C { exe, size } => {
                let (count, blocks) = if round == 0 { (steps, 1) } else { (block, 6) };
                let arguments = [*size, count, threads, blocks].map(|a| a.to_string());
                let out = Command::new(exe).args(arguments).env("OMP_PROC_BIND", "true").output().ok()?;
                let text = String::from_utf8_lossy(&out.stdout).into_owned();
                let numbers: Vec<f64> = text.split_whitespace().filter_map(|t| t.parse().ok()).collect();
                let figure = if round == 0 { *numbers.get(1)? } else { f64::NAN };
                Some((*numbers.first()? / count as f64, figure))
            }
            Kind::Python { script, arguments, figure } => {
                if !round.is_multiple_of(8) {
                    return None;
                }
                let python = std::env::var(if self.name == "torch" { "MSLC_TORCH" } else { "PEER_PYTHON" }).ok()?;
                let scripts = std::env::var("PEER_SCRIPTS").ok()?;
                let out = Command::new(python)
                    .arg(std::path::Path::new(&scripts).join(script))
                    .args(["--peer", &self.name])
                    .args(arguments)
                    .env("BENCH_THREADS", threads.to_string())
                    .output()
                    .ok()?;
                let text = String::from_utf8_lossy(&out.stdout).into_owned();
                let Some(line) = text.lines().find(|l| l.starts_with('{')) else {
                    eprintln!("{} does not run: {}", self.name, String::from_utf8_lossy(&out.stderr));
                    return None;
                };
                let json: serde_json::Value = serde_json::from_str(line).ok()?;
                let check = json["check"][*figure].as_f64().unwrap_or(f64::NAN);
                // Processor time with one thread, as for the others.
                let which = if threads == 1 { "cpu_seconds_min" } else { "seconds_min" };
                Some((json[which].as_f64()? / steps as f64, check))
            }
        }
    }
}
