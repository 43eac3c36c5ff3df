//! `run.json`: what was run, with what, and what came out. Enough to repeat the run and to see whether anything changed.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// The file. Hashes are BLAKE3 in hex; times are seconds.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Version of this layout.
    pub schema: u32,
    /// Version of the compiler.
    pub mslc: String,
    /// Path as given, and hash of the text.
    pub program: String,
    pub program_hash: String,
    /// Where the run was started: UTC, ISO 8601.
    pub started: String,
    pub seconds: f64,
    pub verdict: Verdict,
    /// Why the run ended early, if it did.
    pub failure: Option<String>,
    pub seed: u64,
    pub threads: usize,
    pub backend: String,
    pub studies: Vec<String>,
    /// `--set` of this run.
    pub settings: IndexMap<String, String>,
    /// Data files read, with their hashes.
    pub inputs: IndexMap<String, String>,
    /// Files written, with their hashes.
    pub outputs: IndexMap<String, String>,
    pub checks: Vec<Check>,
    pub tasks: Vec<Task>,
    /// Systems that were solved with several realisations of a closure.
    #[serde(default)]
    pub comparisons: Vec<Comparison>,
}

pub const SCHEMA: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    #[default]
    Holds,
    CheckFailed,
    RunFailed,
    Interrupted,
}

/// A claim of the program and what the run found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Check {
    pub study: String,
    /// As written.
    pub claim: String,
    /// `w = 3, r = 0.1`: the rounds of the loops it stands in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub round: String,
    #[serde(with = "any_number")]
    pub value: f64,
    pub relation: String,
    #[serde(with = "any_number")]
    pub bound: f64,
    /// Of value and bound; empty where they have none.
    pub unit: String,
    pub held: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// `minimize offline`
    pub label: String,
    pub state: State,
    /// In this run, with the tasks inside it.
    pub seconds: f64,
    /// That its own results took when they were computed, in this run or an earlier one.
    #[serde(default)]
    pub cost: f64,
    /// Hashes of its results.
    pub outputs: Vec<String>,
    /// Systems solved, by name.
    pub solves: Vec<(String, u64)>,
    /// How its stages went, how good its table is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The task that asked for this one.
    pub parent: Option<usize>,
    /// Tasks whose results it takes.
    pub needs: Vec<usize>,
}

/// Solutions of one system that differ in what realises a closure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub study: String,
    pub system: String,
    pub closure: String,
    /// The solution that the others are held against.
    pub reference: Option<String>,
    pub rows: Vec<Realisation>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Realisation {
    /// Name of the solution.
    pub name: String,
    /// The closure's argument as written.
    pub realisation: String,
    /// Value of `measure`, where the study has one.
    #[serde(with = "any_number::maybe")]
    pub error: Option<f64>,
    pub measure: Option<String>,
    /// To solve the system, when it was computed; and systems solved inside the closure meanwhile.
    pub seconds: f64,
    pub fine_solves: u64,
    /// For the samples, tables and trainings that the realisation was made of.
    pub offline_seconds: f64,
    pub offline_fine_solves: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ran,
    Cached,
    Failed,
    Waiting,
}

impl Run {
    /// For people too: indented.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("compiler bug: a run has a JSON form") + "\n"
    }

    /// # Errors
    /// Where the text is not a run of this schema.
    pub fn from_json(text: &str) -> Result<Run, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    pub fn held(&self) -> usize {
        self.checks.iter().filter(|c| c.held).count()
    }
}

/// The present time as [`iso_time`] writes it.
pub fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    iso_time(since.map_or(0, |d| d.as_secs()))
}

/// Seconds since 1970 as `2026-11-22T18:06:28Z`. [Howard Hinnant, days_from_civil and its inverse]
pub fn iso_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// JSON has no infinities and no NaN: these are written as text.
mod any_number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Number(f64),
        Text(String),
    }

    pub fn serialize<S: Serializer>(v: &f64, s: S) -> Result<S::Ok, S::Error> {
        if v.is_finite() { v.serialize(s) } else { v.to_string().serialize(s) }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        match Any::deserialize(d)? {
            Any::Number(v) => Ok(v),
            Any::Text(t) => t.parse().map_err(serde::de::Error::custom),
        }
    }

    /// Of numbers that may be absent.
    pub mod maybe {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        #[derive(Serialize, Deserialize)]
        struct Number(#[serde(with = "super")] f64);

        pub fn serialize<S: Serializer>(v: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
            v.map(Number).serialize(s)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
            Ok(Option::<Number>::deserialize(d)?.map(|n| n.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_even_with_nan() {
        let check = Check {
            study: "validate".into(),
            claim: "rel_l2(fast.T, fe2.T) < 1e-2".into(),
            round: String::new(),
            value: f64::INFINITY,
            relation: "<".into(),
            bound: 0.01,
            unit: String::new(),
            held: false,
        };
        let run = Run { schema: SCHEMA, verdict: Verdict::CheckFailed, checks: vec![check], ..Run::default() };
        let text = run.to_json();
        assert!(text.contains("\"inf\"") && text.contains("\"check-failed\""), "{text}");
        assert_eq!(Run::from_json(&text).unwrap(), run);
    }

    #[test]
    fn times_are_civil() {
        assert_eq!(iso_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso_time(1_795_370_788), "2026-11-22T18:06:28Z");
    }
}
