//! NumPy's archives of arrays: `.npz`, a ZIP archive of stored `.npy` files.
//! [NEP 1; numpy.lib.format; PKWARE APPNOTE 6.3]

use super::hdf5::Maker;
use crate::exec::fs::Pieces;
use std::io;

/// A named array.
pub struct Array<'a> {
    pub name: String,
    pub values: Values<'a>,
}

pub enum Values<'a> {
    /// Row by row.
    Floats(Vec<usize>, Vec<f64>),
    /// Of this shape, made while they are written: little-endian bytes, piece by piece.
    Made(Vec<usize>, Box<Maker<'a>>),
    /// A single text.
    Text(String),
}

/// Bytes of an archive of these arrays.
///
/// # Errors
/// Where it would exceed 4 GiB, which needs another layout of archives.
pub fn size(arrays: &[Array]) -> Result<usize, String> {
    let entries: usize = arrays.iter().map(|a| parts(a).2 + 2 * (a.name.len() + 4) + 76).sum();
    small(entries + 22).map(|n| n as usize)
}

/// Writes an archive that is not too large.
///
/// # Errors
/// Those of `out`.
pub fn write(arrays: &[Array], out: &mut Pieces) -> io::Result<()> {
    let (mut at, mut directory) = (0, vec![]);
    let too_large = |e: String| io::Error::new(io::ErrorKind::FileTooLarge, e);
    for a in arrays {
        let name = format!("{}.npy", a.name);
        let (header, data, size) = parts(a);
        // The checksum stands before what it is of, so that values are made twice.
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        data(&mut |piece| {
            crc.update(piece);
            Ok(())
        })?;
        let size32 = small(size).map_err(too_large)?;
        // Version, flags (names in UTF-8), method (stored), a time of 1980, checksum, sizes, lengths of name and extra.
        let mut common = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        [crc.sum(), size32, size32].iter().for_each(|x| common.extend(x.to_le_bytes()));
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        out(b"PK\x03\x04")?;
        out(&common)?;
        out(name.as_bytes())?;
        out(&header)?;
        data(out)?;
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(small(at).map_err(too_large)?.to_le_bytes());
        directory.extend(name.bytes());
        at += 4 + common.len() + name.len() + size;
    }
    let (start, size) = (small(at).map_err(too_large)?, small(directory.len()).map_err(too_large)?);
    directory.extend(b"PK\x05\x06\0\0\0\0");
    (0..2).for_each(|_| directory.extend((arrays.len() as u16).to_le_bytes()));
    directory.extend(size.to_le_bytes());
    directory.extend(start.to_le_bytes());
    directory.extend([0, 0]);
    out(&directory)
}

fn small(n: usize) -> Result<u32, String> {
    u32::try_from(n).map_err(|_| "an archive of more than 4 GiB".into())
}

/// Header, data and size of an `.npy` file.
fn parts<'a>(a: &'a Array) -> (Vec<u8>, Box<Maker<'a>>, usize) {
    let floats = |shape: &[usize]| {
        let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
        ("<f8".to_string(), shape)
    };
    let (descr, shape, data, size): (String, String, Box<Maker>, usize) = match &a.values {
        Values::Floats(shape, x) => {
            let (descr, text) = floats(shape);
            let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
            (descr, text, Box::new(move |out| out(&bytes)), 8 * x.len())
        }
        Values::Made(shape, make) => {
            let (descr, text) = floats(shape);
            (descr, text, Box::new(move |out| make(out)), 8 * shape.iter().product::<usize>())
        }
        Values::Text(s) => {
            let n = s.chars().count().max(1);
            let mut data: Vec<u8> = s.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
            data.resize(4 * n, 0);
            (format!("<U{n}"), String::new(), Box::new(move |out| out(&data)), 4 * n)
        }
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    // Data begin at a multiple of 64 bytes.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()));
    header.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.bytes());
    let size = out.len() + size;
    (out, data, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read::{Folder, Options, load};

    fn file(arrays: &[Array]) -> Vec<u8> {
        let mut bytes = vec![];
        write(arrays, &mut |piece| {
            bytes.extend(piece);
            Ok(())
        })
        .unwrap();
        assert_eq!(bytes.len(), size(arrays).unwrap());
        bytes
    }

    #[test]
    fn an_archive_reads_back() {
        let values: Vec<f64> = (0..6).map(|i| i as f64 / 7.0).collect();
        let arrays = [
            Array { name: "u".into(), values: Values::Floats(vec![2, 3], values.clone()) },
            Array { name: "κ_unit".into(), values: Values::Text("m²/s".into()) },
        ];
        let bytes = file(&arrays[..1]);
        let folder = std::env::temp_dir().join(format!("mslc-npz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.npz"), bytes).unwrap();
        let found = load(&Folder(folder.clone()), "a.npz", &Options::default());
        let _ = std::fs::remove_dir_all(&folder);
        assert!(format!("{:?}", found.unwrap()).contains("0.14285714285714285"));
        assert!(file(&arrays).windows(5).any(|w| w == "κ_un".as_bytes()));
    }
}
