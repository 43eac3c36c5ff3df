//! Tables of orders: a row for each problem, a column for each method, letters for what is refused.

use super::measure::Refusal;

/// What is in a cell.
#[derive(Debug)]
pub enum Cell {
    Order(f64),
    /// Nothing is left to measure an order by: what the method leaves is rounding.
    Exact,
    /// An error, and what it must stay below.
    Level(f64, f64),
    Refused(Refusal),
}

impl Cell {
    /// Of an order; panics at a refusal.
    pub fn word(&self) -> String {
        match self {
            Cell::Order(order) => format!("{order:.2}"),
            Cell::Exact => "exact".into(),
            Cell::Level(error, _) => format!("{error:.0e}"),
            Cell::Refused(r) => panic!("{r:?}"),
        }
    }
}

/// What a page says of one cell: a word (a number, `exact`), the reason of a refusal, or that the method takes no row of the table.
#[derive(Debug)]
pub enum Said {
    Word(String),
    Reason(String),
    Never,
}

/// The cell of a method in the row with these names, below a heading; none where there is no such row.
pub fn said(page: &str, heading: &str, names: &[String], method: &str) -> Option<Said> {
    let from = page.find(heading)?;
    let section = page[from..].split("\n### ").next()?;
    let cells = |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect::<Vec<_>>();
    let mut tables = section.lines().filter(|l| l.starts_with('|'));
    let head = cells(tables.next()?);
    let row = tables.map(cells).find(|row| row.len() > names.len() && row[..names.len()] == *names)?;
    let Some(column) = head.iter().position(|h| h == method) else { return Some(Said::Never) };
    let word = &row[column];
    let reason = section.lines().find_map(|l| l.strip_prefix(&format!("- {word}: ")));
    Some(reason.map_or_else(|| Said::Word(word.clone()), |r| Said::Reason(r.into())))
}

/// A row: what stands before the cells, and the cells.
pub type Row = (Vec<String>, Vec<Cell>);

/// The table, then what its letters mean; methods that take no row at all are named below it.
pub fn table(leading: &[&str], methods: &[String], rows: &[Row]) -> String {
    let mut reasons: Vec<Refusal> = vec![];
    let taken: Vec<bool> =
        (0..methods.len()).map(|k| rows.iter().any(|(_, cells)| !matches!(cells[k], Cell::Refused(_)))).collect();
    let shown = || (0..methods.len()).filter(|&k| taken[k]);
    let mut out = String::from("|");
    leading.iter().for_each(|l| out += &format!(" {l} |"));
    shown().for_each(|k| out += &format!(" {} |", methods[k]));
    out += "\n|";
    (0..leading.len() + shown().count()).for_each(|_| out += "-|");
    for (names, cells) in rows {
        out += "\n|";
        names.iter().for_each(|n| out += &format!(" {n} |"));
        for k in shown() {
            let words = match &cells[k] {
                Cell::Refused(r) => letter(place(&mut reasons, r.without(&methods[k]))),
                other => other.word(),
            };
            out += &format!(" {words} |");
        }
    }
    out += "\n\n";
    for (k, r) in reasons.iter().enumerate() {
        out += &format!("- {}: {}\n", letter(k), r.in_words());
    }
    let mut never: Vec<(Refusal, Vec<&str>)> = vec![];
    for k in (0..methods.len()).filter(|&k| !taken[k]) {
        for (_, cells) in rows {
            let Cell::Refused(r) = &cells[k] else { unreachable!("a cell that is not refused") };
            let r = r.without(&methods[k]);
            match never.iter_mut().find(|(x, _)| *x == r) {
                Some((_, names)) if names.last() == Some(&methods[k].as_str()) => {}
                Some((_, names)) => names.push(&methods[k]),
                None => never.push((r, vec![&methods[k]])),
            }
        }
    }
    for (r, names) in never {
        out += &format!("- Refused in every row: {}: {}\n", names.join(", "), r.in_words());
    }
    out
}

impl Refusal {
    /// The same for all methods.
    pub fn without(&self, method: &str) -> Refusal {
        Refusal { message: self.message.replace(&format!("`{method}`"), "it"), ..self.clone() }
    }

    pub fn in_words(&self) -> String {
        format!("`{}`, {}", self.code, self.message)
    }
}

fn place(all: &mut Vec<Refusal>, one: Refusal) -> usize {
    all.iter().position(|x| *x == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}

fn letter(k: usize) -> String {
    char::from(b'a' + k as u8).to_string()
}
