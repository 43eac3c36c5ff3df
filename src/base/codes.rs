//! Every diagnostic code, with what `mslc explain CODE` says. `docs/diagnostics.md` is generated from this table.

/// One kind of message.
#[derive(Debug)]
pub struct Code {
    pub id: &'static str,
    pub title: &'static str,
    /// A paragraph for a researcher: what the rule is, why it stands, how to mend a program that breaks it.
    pub explanation: &'static str,
}

pub const CODES: &[Code] = &[];
