//! NumPy's array format, versions 1 to 3 [NEP 1; numpy.lib.format].

use super::{Array, Problem, broken, bytes_at, u16_at, u32_at};

/// Any numeric array as f64, row-major whatever its order in the file.
pub fn read(bytes: &[u8]) -> Result<Array, Problem> {
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return broken("not an NPY array: its first bytes are not those of the format");
    }
    let (header_start, header_length) = match bytes_at(bytes, 6, 2)?[0] {
        1 => (10, u16_at(bytes, 8)?),
        2 | 3 => (12, u32_at(bytes, 8)?),
        v => return broken(format!("NPY version {v} is not known; there are readers for 1, 2 and 3")),
    };
    let header = String::from_utf8_lossy(bytes_at(bytes, header_start, header_length)?);
    let h =
        Header::parse(&header).ok_or_else(|| (None, format!("the NPY header cannot be read: {}", header.trim())))?;
    let element = Element::parse(&h.descr)?;
    let data = &bytes[header_start + header_length..];
    let count = h.shape.iter().try_fold(1usize, |n, &k| n.checked_mul(k));
    let expected = count.and_then(|n| n.checked_mul(element.size));
    if expected != Some(data.len()) {
        let message = format!("shape {:?} of `{}` does not fit {} bytes of data", h.shape, h.descr, data.len());
        return broken(message);
    }
    let values = data.chunks_exact(element.size).map(|b| element.value(b)).collect::<Result<Vec<f64>, _>>()?;
    let values = if h.fortran { row_major(&values, &h.shape) } else { values };
    Ok(Array::new(h.shape, values))
}

/// Column-major elements to row-major.
pub fn row_major(values: &[f64], shape: &[usize]) -> Vec<f64> {
    if shape.len() < 2 || values.is_empty() {
        return values.to_vec();
    }
    let mut strides = vec![1; shape.len()];
    for k in 1..shape.len() {
        strides[k] = strides[k - 1] * shape[k - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[at]);
        for k in (0..shape.len()).rev() {
            index[k] += 1;
            at += strides[k];
            if index[k] < shape[k] {
                break;
            }
            at -= strides[k] * shape[k];
            index[k] = 0;
        }
    }
    out
}

struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`
    fn parse(text: &str) -> Option<Header> {
        let after = |key: &str| {
            let rest = &text[text.find(&format!("'{key}'"))? + key.len() + 2..];
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = after("descr")?.strip_prefix('\'')?.split('\'').next()?.to_string();
        let fortran = match after("fortran_order")? {
            t if t.starts_with("True") => true,
            t if t.starts_with("False") => false,
            _ => return None,
        };
        let inside = after("shape")?.strip_prefix('(')?.split(')').next()?;
        let numbers = inside.split(',').map(str::trim).filter(|s| !s.is_empty());
        let shape = numbers.map(|s| s.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?;
        Some(Header { descr, fortran, shape })
    }
}

struct Element {
    big_endian: bool,
    kind: char,
    size: usize,
}

impl Element {
    fn parse(descr: &str) -> Result<Element, Problem> {
        let mut chars = descr.chars();
        let (order, kind, size) = (chars.next(), chars.next(), chars.as_str().parse());
        match (order, kind, size) {
            (Some(o @ ('<' | '>' | '|' | '=')), Some(kind @ ('f' | 'i' | 'u' | 'b')), Ok(size))
                if matches!((kind, size), ('f', 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) | ('b', 1)) =>
            {
                Ok(Element { big_endian: o == '>', kind, size })
            }
            _ => broken(format!("elements of type `{descr}`; expected real numbers, integers or booleans")),
        }
    }

    fn value(&self, bytes: &[u8]) -> Result<f64, Problem> {
        let mut b = [0; 8];
        b[..self.size].copy_from_slice(bytes);
        if self.big_endian {
            b[..self.size].reverse();
        }
        let raw = u64::from_le_bytes(b);
        let unused = 64 - 8 * self.size as u32;
        match self.kind {
            'f' if self.size == 4 => Ok(f32::from_bits(raw as u32) as f64),
            'f' => Ok(f64::from_bits(raw)),
            'i' => exact(((raw << unused) as i64 >> unused) as i128),
            _ => exact(raw as i128),
        }
    }
}

/// Integers beyond 2⁵³ may have no f64.
fn exact(n: i128) -> Result<f64, Problem> {
    let x = n as f64;
    if x as i128 == n { Ok(x) } else { broken(format!("the integer {n} cannot be held exactly as a real number")) }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An NPY file, version 1 or 2.
    pub fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY".to_vec();
        out.extend([version, 0]);
        match version {
            1 => out.extend((header.len() as u16).to_le_bytes()),
            _ => out.extend((header.len() as u32).to_le_bytes()),
        }
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    fn bytes(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn orders_and_versions() {
        let data = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let c = npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", &data);
        let a = read(&c).unwrap();
        assert_eq!((a.shape, a.values), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let f = npy(2, "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }\n", &data);
        assert_eq!(read(&f).unwrap().values, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        let s = npy(3, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", &bytes(&[7.0]));
        assert_eq!((read(&s).unwrap().shape, read(&s).unwrap().values), (vec![], vec![7.0]));
    }

    #[test]
    fn element_types() {
        let value = |descr: &str, data: &[u8]| {
            let h = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}");
            read(&npy(1, &h, data)).map(|a| a.values[0])
        };
        assert_eq!(value("<f4", &0.1f32.to_le_bytes()), Ok(0.1f32 as f64));
        assert_eq!(value(">f8", &0.1f64.to_be_bytes()), Ok(0.1));
        assert_eq!(value("<i4", &(-5i32).to_le_bytes()), Ok(-5.0));
        assert_eq!(value("<i2", &(-5i16).to_le_bytes()), Ok(-5.0));
        assert_eq!(value("|u1", &[200]), Ok(200.0));
        assert_eq!(value("|i1", &[200]), Ok(-56.0));
        assert_eq!(value("|b1", &[1]), Ok(1.0));
        assert_eq!(value("<i8", &i64::MIN.to_le_bytes()), Ok(-(2f64.powi(63))));
        assert!(value("<i8", &(i64::MAX).to_le_bytes()).unwrap_err().1.contains("exactly"));
        assert!(value("<c16", &[0; 16]).unwrap_err().1.contains("real numbers"));
    }

    #[test]
    fn broken_files_are_refused() {
        let h = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }";
        assert!(read(&npy(1, h, &bytes(&[1.0]))).unwrap_err().1.contains("does not fit"));
        assert!(read(&npy(1, "{'descr': 3}", &[])).is_err());
        assert!(read(&npy(9, h, &[])).is_err());
        assert!(read(b"\x93NUMPY\x01\x00\xff\xff{").is_err());
        let huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999, 9999999999999), }";
        assert!(read(&npy(1, huge, &[])).is_err());
        assert!(read(b"").is_err());
    }
}
