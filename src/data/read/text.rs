//! Text tables: CSV with quotes, and columns between blanks. Lines that begin with `#` are remarks.

use super::{Array, Options, Problem, broken, problem};
use indexmap::IndexMap;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Separator {
    Char(char),
    /// Any run of blanks and tabs.
    Blanks,
}

/// A cell with the line and the column (both from 1, in characters) where it begins.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    line: usize,
    column: usize,
}

/// One array per column. The first line is a header if it holds no number; columns without a name are called
/// `column1`, `column2`, …
pub fn read(bytes: &[u8], separator: Separator, options: &Options) -> Result<IndexMap<String, Array>, Problem> {
    let mut rows = parse(decode(bytes)?, separator)?.into_iter().peekable();
    let Some(first) = rows.peek() else { return broken("the table is empty") };
    let width = first.len();
    let mut names: Vec<String> = (1..=width).map(|k| format!("column{k}")).collect();
    let mut units: Vec<Option<String>> = vec![None; width];
    if first.iter().all(|c| number(&c.text).is_none() && !is_missing(&c.text, options)) {
        let header = rows.next().unwrap_or_default();
        for (k, cell) in header.iter().enumerate() {
            (names[k], units[k]) = name_and_unit(&cell.text);
            if names[k].is_empty() {
                return at(cell, format!("column {} has no name", k + 1));
            }
            if names[..k].contains(&names[k]) {
                return at(cell, format!("a second column is called `{}`", names[k]));
            }
        }
    }
    if let Some(row) = rows.peek() {
        let bracketed = row.iter().all(|c| c.text.starts_with('[') && c.text.ends_with(']'));
        if options.units || bracketed {
            let trim = |c: &Cell| c.text.trim_start_matches('[').trim_end_matches(']').trim().to_string();
            units = row.iter().map(|c| Some(trim(c)).filter(|u| !u.is_empty())).collect();
            units.resize(width, None);
            rows.next();
        }
    }
    if !options.names.is_empty() {
        if options.names.len() != width {
            return broken(format!("{} names are given for {width} columns", options.names.len()));
        }
        names = options.names.clone();
    }
    if rows.peek().is_none() {
        return broken("the table has a head and no rows");
    }
    let mut columns = vec![Array::new(vec![0], vec![]); width];
    for row in rows {
        if row.len() != width {
            let cells = if row.len() == 1 { "1 cell" } else { &format!("{} cells", row.len()) };
            let message = format!("{cells}; the lines before it have {width}");
            return problem(format!("line {}", row[0].line), message);
        }
        for (k, cell) in row.into_iter().enumerate() {
            push(&mut columns[k], cell, &names[k], options)?;
        }
    }
    let with_units = columns.into_iter().zip(units).map(|(c, unit)| Array { unit, ..c });
    Ok(names.into_iter().zip(with_units).collect())
}

/// Adds a cell to its column. The first cell that is not missing decides between numbers and words.
fn push(column: &mut Array, cell: Cell, name: &str, options: &Options) -> Result<(), Problem> {
    let row = column.shape[0];
    column.shape[0] += 1;
    let numeric = row == column.missing.len() || column.words.is_empty();
    if is_missing(&cell.text, options) {
        column.missing.push(row);
        if numeric {
            column.values.push(f64::NAN);
        } else {
            column.words.push(String::new());
        }
        return Ok(());
    }
    match number(&cell.text) {
        Some(x) if !x.is_finite() => {
            let what = if x.is_nan() { "not a number" } else { "infinite" };
            at(&cell, format!("`{}` in column `{name}` is {what}; where holes are meant, declare them", cell.text))
        }
        Some(x) if numeric => {
            column.values.push(x);
            Ok(())
        }
        None if row == column.missing.len() && !cell.text.is_empty() => {
            column.values.clear();
            column.words = vec![String::new(); row];
            column.words.push(cell.text);
            Ok(())
        }
        None if numeric && cell.text.is_empty() => {
            at(&cell, format!("column `{name}` has a hole; where holes are meant, declare them: missing=\"\""))
        }
        None if numeric => at(&cell, format!("`{}` is not a number, as the rest of column `{name}`", cell.text)),
        _ => {
            column.words.push(cell.text);
            Ok(())
        }
    }
}

fn at<T>(cell: &Cell, message: String) -> Result<T, Problem> {
    problem(format!("line {}, column {}", cell.line, cell.column), message)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// `-999` is also found as `-999.0`.
fn is_missing(text: &str, options: &Options) -> bool {
    let same =
        |m: &String| m == text || number(m).zip(number(text)).is_some_and(|(a, b)| a == b || a.is_nan() && b.is_nan());
    options.missing.iter().any(same)
}

/// `T [K]` is column `T` in K.
fn name_and_unit(text: &str) -> (String, Option<String>) {
    match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
        Some((name, unit)) => (name.trim().to_string(), Some(unit.trim().to_string())),
        None => (text.to_string(), None),
    }
}

fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).or_else(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        problem(format!("line {line}"), "not UTF-8 text; save the table as UTF-8")
    })
}

/// The rows with at least one character. Quoted cells may hold separators, line ends and doubled quotes [RFC 4180].
fn parse(text: &str, separator: Separator) -> Result<Vec<Vec<Cell>>, Problem> {
    let mut rows = vec![];
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let new = |column: usize| Cell { text: String::new(), line: number + 1, column };
        match separator {
            Separator::Blanks => {
                let cell = |word: &str| {
                    let column = line[..word.as_ptr() as usize - line.as_ptr() as usize].chars().count() + 1;
                    Cell { text: word.to_string(), ..new(column) }
                };
                rows.push(line.split_whitespace().map(cell).collect());
            }
            Separator::Char(separator) => {
                let mut cells = vec![new(1)];
                let mut quoted = false;
                let mut line = line;
                loop {
                    let mut chars = line.chars().enumerate().peekable();
                    while let Some((i, c)) = chars.next() {
                        let text = &mut cells.last_mut().expect("compiler bug: a row without cells").text;
                        match c {
                            '"' if quoted && chars.next_if(|&(_, c)| c == '"').is_some() => text.push('"'),
                            '"' if quoted || text.trim().is_empty() => quoted = !quoted,
                            c if c == separator && !quoted => cells.push(new(i + 2)),
                            c => text.push(c),
                        }
                    }
                    if !quoted {
                        break;
                    }
                    let Some((_, next)) = lines.next() else {
                        return problem(format!("line {}", number + 1), "a quote is opened and never closed");
                    };
                    line = next;
                    if let Some(c) = cells.last_mut() {
                        c.text.push('\n');
                    }
                }
                cells.iter_mut().for_each(|c| c.text = c.text.trim().to_string());
                rows.push(cells);
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::tests::load_text;
    use super::*;

    fn error(content: &str) -> String {
        load_text("a.csv", content, &Options::default()).unwrap_err().to_string()
    }

    #[test]
    fn headers_units_and_words() {
        let t = load_text(
            "a.csv",
            "\u{feff}name, T [K],\"k, long\"\r\n a ,1.5,2e3\r\n\"b\"\"c\",-3,4\r\n",
            &Options::default(),
        );
        let t = t.unwrap();
        assert_eq!(t.arrays.keys().collect::<Vec<_>>(), ["name", "T", "k, long"]);
        assert_eq!(t.arrays["name"].words, ["a", "b\"c"]);
        assert_eq!(
            (t.arrays["T"].values.as_slice(), t.arrays["T"].unit.as_deref()),
            ([1.5, -3.0].as_slice(), Some("K"))
        );
        let t = load_text("a.csv", "T,k\n[K],[W/m/K]\n1,2\n", &Options::default()).unwrap();
        assert_eq!(t.arrays["k"].unit.as_deref(), Some("W/m/K"));
        let units = Options { units: true, ..Options::default() };
        let t = load_text("a.csv", "T,k\nK,\n1,2\n", &units).unwrap();
        assert_eq!((t.arrays["T"].unit.as_deref(), t.arrays["k"].unit.as_deref()), (Some("K"), None));
    }

    #[test]
    fn blanks_and_remarks() {
        let t = load_text("a.dat", "# y u\n0.0\t1.0\n  1.0   2.5\n", &Options::default()).unwrap();
        assert_eq!(t.arrays["column2"].values, [1.0, 2.5]);
        let names = Options { names: vec!["y".into(), "u".into()], ..Options::default() };
        assert_eq!(load_text("a.dat", "1 2\n", &names).unwrap().arrays["u"].values, [2.0]);
        assert!(load_text("a.dat", "1 2 3\n", &names).is_err());
    }

    #[test]
    fn errors_name_their_place() {
        assert_eq!(
            error("x,y\n1,2\n3,q\n"),
            "`a.csv`, line 3, column 3: `q` is not a number, as the rest of column `y`"
        );
        assert!(error("x,y\n1,2\n3\n").starts_with("`a.csv`, line 3: 1 cell;"));
        assert!(error("x,y\n1,nan\n").starts_with("`a.csv`, line 2, column 3: `nan`"));
        assert!(error("x,y\n1,2\n,2\n").contains("line 3, column 1: column `x` has a hole"));
        assert!(error("x,x\n1,2\n").contains("second column"));
        assert!(error("").contains("empty"));
        assert!(error("x\n\"1\n").contains("never closed"));
        let latin = super::read(b"x\n1\n\xe9\n", Separator::Char(','), &Options::default()).unwrap_err();
        assert_eq!(latin.0.as_deref(), Some("line 3"));
    }

    #[test]
    fn a_head_alone_is_no_table() {
        assert!(error("x,y\n").contains("a head and no rows"));
    }
}
