//! MATLAB's MAT-files, level 5 [MATLAB, MAT-File Format, 2023], also compressed: real numeric arrays.
//! Complex arrays become `name` and `name_imaginary`; cells, structures and text are passed over.

use super::npy::row_major;
use super::{Array, Problem, broken, bytes_at, problem, u32_at};
use indexmap::IndexMap;
use std::io::Read;

pub fn read(bytes: &[u8]) -> Result<IndexMap<String, Array>, Problem> {
    if bytes.get(..4).is_none_or(|b| b.contains(&0)) || bytes.get(126..128) != Some(b"IM") {
        return broken("not a MAT-file of level 5 in little-endian order; save it with -v6 or -v7");
    }
    let mut arrays = IndexMap::new();
    let mut at = 128;
    while at < bytes.len() {
        let element = Element::at(bytes, at)?;
        at = element.next;
        match element.kind {
            MATRIX => matrix(element.data, &mut arrays)?,
            COMPRESSED => {
                let mut inner = vec![];
                let unpacked = flate2::read::ZlibDecoder::new(element.data).take(LARGEST).read_to_end(&mut inner);
                unpacked.map_err(|e| (None, format!("a compressed array is damaged: {e}")))?;
                let element = Element::at(&inner, 0)?;
                if element.kind == MATRIX {
                    matrix(element.data, &mut arrays)?;
                }
            }
            _ => {}
        }
    }
    Ok(arrays)
}

const MATRIX: usize = 14;
const COMPRESSED: usize = 15;
/// Bound on what a hostile stream may unfold to.
const LARGEST: u64 = 8 << 30;

/// A tagged piece of data; small ones share their tag's eight bytes.
struct Element<'a> {
    kind: usize,
    data: &'a [u8],
    next: usize,
}

impl Element<'_> {
    fn at(bytes: &[u8], at: usize) -> Result<Element<'_>, Problem> {
        let tag = u32_at(bytes, at)?;
        if tag >> 16 != 0 {
            let data = bytes_at(bytes, at + 4, (tag >> 16).min(4))?;
            return Ok(Element { kind: tag & 0xffff, data, next: at + 8 });
        }
        let length = u32_at(bytes, at + 4)?;
        let data = bytes_at(bytes, at + 8, length)?;
        let padded = if tag == COMPRESSED { length } else { length.next_multiple_of(8) };
        Ok(Element { kind: tag, data, next: at + 8 + padded })
    }
}

/// Flags, dimensions, name, real part, imaginary part.
fn matrix(bytes: &[u8], arrays: &mut IndexMap<String, Array>) -> Result<(), Problem> {
    let flags = Element::at(bytes, 0)?;
    let flag = u32_at(flags.data, 0)?;
    let dimensions = Element::at(bytes, flags.next)?;
    let name = Element::at(bytes, dimensions.next)?;
    let title = String::from_utf8_lossy(name.data).into_owned();
    if !(6..=15).contains(&(flag & 0xff)) {
        return Ok(()); // a cell, a structure, text or a sparse matrix
    }
    let shape: Vec<usize> = dimensions.data.chunks_exact(4).map(|b| u32_at(b, 0)).collect::<Result<_, _>>()?;
    let parts = [(title.clone(), true), (format!("{title}_imaginary"), flag & 0x800 != 0)];
    let mut at = name.next;
    for (part, _) in parts.into_iter().filter(|(_, present)| *present) {
        let element = Element::at(bytes, at)?;
        at = element.next;
        let values = numbers(&element).map_err(|m| (Some(format!("array `{part}`")), m))?;
        if shape.iter().try_fold(1usize, |n, &k| n.checked_mul(k)) != Some(values.len()) {
            let message = format!("shape {shape:?} does not fit {} numbers", values.len());
            return problem(format!("array `{part}`"), message);
        }
        let values = row_major(&values, &shape);
        arrays.insert(part, Array::new(shape.clone(), values));
    }
    Ok(())
}

fn numbers(e: &Element) -> Result<Vec<f64>, String> {
    macro_rules! as_f64 {
        ($t:ty) => {
            e.data
                .chunks_exact(size_of::<$t>())
                .map(|b| <$t>::from_le_bytes(b.try_into().unwrap_or_default()) as f64)
                .collect()
        };
    }
    Ok(match e.kind {
        1 => as_f64!(i8),
        2 => as_f64!(u8),
        3 => as_f64!(i16),
        4 => as_f64!(u16),
        5 => as_f64!(i32),
        6 => as_f64!(u32),
        7 => as_f64!(f32),
        9 => as_f64!(f64),
        12 => as_f64!(i64),
        13 => as_f64!(u64),
        k => return Err(format!("elements of type {k} are not numbers")),
    })
}
