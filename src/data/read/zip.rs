//! ZIP archives, as NPZ files are: entries stored or deflated, sizes of 64 bits where needed [PKWARE APPNOTE 6.3].

use super::{Problem, broken, bytes_at, problem, u16_at, u32_at};
use std::io::Read;

/// Names and contents, in the order of the archive's directory.
pub fn entries(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let (mut at, count) = directory(bytes)?;
    let mut entries = vec![];
    for _ in 0..count {
        if bytes_at(bytes, at, 46)?[..4] != *b"PK\x01\x02" {
            return broken("the archive's directory is damaged");
        }
        let (method, crc) = (u16_at(bytes, at + 10)?, u32_at(bytes, at + 16)? as u32);
        let (name, extra) = (u16_at(bytes, at + 28)?, u16_at(bytes, at + 30)?);
        let comment = u16_at(bytes, at + 32)?;
        let title = String::from_utf8_lossy(bytes_at(bytes, at + 46, name)?).into_owned();
        let mut sizes = [u32_at(bytes, at + 24)?, u32_at(bytes, at + 20)?, u32_at(bytes, at + 42)?];
        widen(&mut sizes, bytes_at(bytes, at + 46 + name, extra)?)?;
        let [full, packed, local] = sizes;
        // The local header repeats name and extra, at lengths of its own.
        let start = u16_at(bytes, local.saturating_add(26))? + u16_at(bytes, local.saturating_add(28))?;
        let data = bytes_at(bytes, local.saturating_add(30).saturating_add(start), packed)?;
        let content = unpack(method, data, full).map_err(|m| (Some(format!("entry `{title}`")), m))?;
        let mut check = flate2::Crc::new();
        check.update(&content);
        if check.sum() != crc {
            return problem(format!("entry `{title}`"), "damaged: its checksum does not fit");
        }
        if !title.ends_with('/') {
            entries.push((title, content));
        }
        at += 46 + name + extra + comment;
    }
    Ok(entries)
}

/// Start and number of entries of the central directory, from the record at the archive's end.
fn directory(bytes: &[u8]) -> Result<(usize, usize), Problem> {
    let first = bytes.len().saturating_sub(22 + 65535);
    let end = (first..=bytes.len().saturating_sub(22)).rev().find(|&i| bytes[i..].starts_with(b"PK\x05\x06"));
    let Some(end) = end else { return broken("not a ZIP archive: it has no directory") };
    let (count, start) = (u16_at(bytes, end + 10)?, u32_at(bytes, end + 16)?);
    if count != 0xffff && start != 0xffff_ffff {
        return Ok((start, count));
    }
    let locator = end.checked_sub(20).filter(|&l| bytes[l..].starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else { return broken("the archive's 64-bit directory is missing") };
    let record = u64_at(bytes, locator + 8)?;
    Ok((u64_at(bytes, record.saturating_add(48))?, u64_at(bytes, record.saturating_add(32))?))
}

/// Replaces the fields that are all ones by those of the ZIP64 extra field, which come in this order.
fn widen(sizes: &mut [usize; 3], extra: &[u8]) -> Result<(), Problem> {
    let mut at = 0;
    while at + 4 <= extra.len() {
        let (id, length) = (u16_at(extra, at)?, u16_at(extra, at + 2)?);
        if id == 1 {
            let wide = sizes.iter_mut().filter(|s| **s == 0xffff_ffff);
            for (k, s) in wide.enumerate() {
                *s = u64_at(extra, at + 4 + 8 * k)?;
            }
        }
        at += 4 + length;
    }
    Ok(())
}

fn u64_at(bytes: &[u8], at: usize) -> Result<usize, Problem> {
    let b = bytes_at(bytes, at, 8)?;
    Ok(u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as usize)
}

fn unpack(method: usize, data: &[u8], full: usize) -> Result<Vec<u8>, String> {
    match method {
        0 if data.len() == full => Ok(data.to_vec()),
        0 => Err("damaged: its sizes disagree".into()),
        8 => {
            // The stated size bounds what a hostile stream may unfold to.
            let mut out = vec![];
            let read = flate2::read::DeflateDecoder::new(data).take(full as u64 + 1).read_to_end(&mut out);
            match read {
                Ok(n) if n == full => Ok(out),
                Ok(_) => Err("damaged: it does not unpack to its stated size".into()),
                Err(e) => Err(format!("damaged: {e}")),
            }
        }
        m => Err(format!("packed with method {m}; expected stored or deflated")),
    }
}
