//! NumPy's archives of arrays: `.npz`, a ZIP archive of stored `.npy` files.
//! [NEP 1; numpy.lib.format; PKWARE APPNOTE 6.3]

/// A named array.
pub struct Array {
    pub name: String,
    pub values: Values,
}

pub enum Values {
    /// Row by row.
    Floats(Vec<usize>, Vec<f64>),
    /// A single text.
    Text(String),
}

/// The bytes of an archive.
///
/// # Errors
/// Where it would exceed 4 GiB, which needs another layout of archives.
pub fn file(arrays: &[Array]) -> Result<Vec<u8>, String> {
    let (mut out, mut directory) = (vec![], vec![]);
    for a in arrays {
        let (name, data) = (format!("{}.npy", a.name), npy(&a.values));
        let at = small(out.len())?;
        let size = small(data.len())?;
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        // Version, flags (names in UTF-8), method (stored), a time of 1980, checksum, sizes, lengths of name and extra.
        let mut common = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
        [crc.sum(), size, size].iter().for_each(|x| common.extend(x.to_le_bytes()));
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.bytes());
        out.extend(data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.bytes());
    }
    let (start, size) = (small(out.len())?, small(directory.len())?);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    (0..2).for_each(|_| out.extend((arrays.len() as u16).to_le_bytes()));
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    Ok(out)
}

fn small(n: usize) -> Result<u32, String> {
    u32::try_from(n).map_err(|_| "an archive of more than 4 GiB".into())
}

fn npy(values: &Values) -> Vec<u8> {
    let (descr, shape, data): (String, String, Vec<u8>) = match values {
        Values::Floats(shape, x) => {
            let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
            ("<f8".into(), shape, x.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        Values::Text(s) => {
            let n = s.chars().count().max(1);
            let mut data: Vec<u8> = s.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
            data.resize(4 * n, 0);
            (format!("<U{n}"), String::new(), data)
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
    out.extend(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read::{Folder, Options, load};

    #[test]
    fn an_archive_reads_back() {
        let values: Vec<f64> = (0..6).map(|i| i as f64 / 7.0).collect();
        let arrays = [
            Array { name: "u".into(), values: Values::Floats(vec![2, 3], values.clone()) },
            Array { name: "κ_unit".into(), values: Values::Text("m²/s".into()) },
        ];
        let bytes = file(&arrays[..1]).unwrap();
        let folder = std::env::temp_dir().join(format!("mslc-npz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.npz"), bytes).unwrap();
        let found = load(&Folder(folder.clone()), "a.npz", &Options::default());
        let _ = std::fs::remove_dir_all(&folder);
        assert!(format!("{:?}", found.unwrap()).contains("0.14285714285714285"));
        assert!(file(&arrays).unwrap().windows(5).any(|w| w == "κ_un".as_bytes()));
    }
}
