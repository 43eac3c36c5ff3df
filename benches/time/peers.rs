//! Programs to compare with.

use std::process::Command;

pub struct Peer {
    pub name: String,
    kind: Kind,
}

enum Kind {
    /// An executable and its size and steps.
    C { exe: std::path::PathBuf, size: usize, steps: usize },
    /// A script, its arguments, and the figure of its report to compare.
    Python { script: &'static str, arguments: Vec<String>, figure: &'static str },
}

impl Peer {
    /// Builds one of the C programs.
    pub fn c(name: &str, source: &str, size: usize, steps: usize) -> Peer {
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
        Peer { name: "gcc".into(), kind: Kind::C { exe, size, steps } }
    }

    pub fn python(name: &str, script: &'static str, arguments: &[&str], figure: &'static str) -> Peer {
        let arguments = arguments.iter().map(|a| a.to_string()).collect();
        Peer { name: name.into(), kind: Kind::Python { script, arguments, figure } }
    }

    /// Seconds of the best of a few runs, and the check figure. None where the program is not there; Python programs, which take
    /// long to start, run in every fourth round.
    pub fn run(&self, threads: usize, round: usize) -> Option<(f64, f64)> {
        match &self.kind {
            Kind::C { exe, size, steps } => {
                let arguments = [*size, *steps, threads, 3].map(|a| a.to_string());
                let out = Command::new(exe).args(arguments).env("OMP_PROC_BIND", "true").output().ok()?;
                let text = String::from_utf8_lossy(&out.stdout).into_owned();
                let numbers: Vec<f64> = text.split_whitespace().filter_map(|t| t.parse().ok()).collect();
                Some((*numbers.first()?, *numbers.get(1)?))
            }
            Kind::Python { script, arguments, figure } => {
                if round % 4 != 0 {
                    return None;
                }
                let python = std::env::var("PEER_PYTHON").ok()?;
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
                Some((json["seconds_min"].as_f64()?, check))
            }
        }
    }
}
