//! How a result lies in its file, so that arrays can be written as they are made and read where they lie.
//!
//! ```text
//! magic · where the header begins · arrays (little-endian, each at a multiple of 8) · header JSON · hash
//! ```
//! The hash is BLAKE3 of the first 16 bytes, the hashes of the arrays, and the header.

use super::store::Artifact;
use crate::base::Fingerprint;
use crate::base::fingerprint::Rolling;
use crate::ir::elements::Mapped;
use crate::ir::{DType, Data, Tensor, Type};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"mslc\x00\x02\r\n";
/// Bytes before the first array.
pub const START: usize = 16;
const HASH: usize = 32;
/// Bytes of a mapped file that are looked at before their memory is given back.
const PIECE: usize = 1 << 23;

#[derive(Serialize, Deserialize)]
pub struct Header {
    pub key: String,
    version: String,
    pub kind: String,
    pub meta: Value,
    arrays: Vec<ArrayHeader>,
}

#[derive(Serialize, Deserialize)]
struct ArrayHeader {
    name: String,
    #[serde(rename = "type")]
    ty: Type,
}

/// Where each array lies, with what fills it up to the next multiple of 8, and where the header begins.
pub fn places<'a>(types: impl IntoIterator<Item = &'a Type>) -> (Vec<Range<usize>>, usize) {
    let mut at = START;
    let ranges = types
        .into_iter()
        .map(|ty| {
            let start = at;
            at += size(ty).next_multiple_of(8);
            start..at
        })
        .collect();
    (ranges, at)
}

/// Bytes of an array.
pub fn size(ty: &Type) -> usize {
    ty.len() * ty.dtype.size()
}

/// The first bytes of a file whose header begins there.
pub fn start(header: usize) -> [u8; START] {
    let mut out = [0; START];
    out[..8].copy_from_slice(MAGIC);
    out[8..].copy_from_slice(&(header as u64).to_le_bytes());
    out
}

/// What follows the arrays: the header and the hash over everything.
pub fn end<'a>(
    key: &Fingerprint,
    (kind, meta): (&str, &Value),
    arrays: impl IntoIterator<Item = (&'a str, &'a Type)>,
    hashes: impl IntoIterator<Item = Fingerprint>,
) -> Vec<u8> {
    let arrays: Vec<ArrayHeader> =
        arrays.into_iter().map(|(name, ty)| ArrayHeader { name: name.into(), ty: ty.clone() }).collect();
    let at = places(arrays.iter().map(|a| &a.ty)).1;
    let header = Header {
        key: key.hex(),
        version: env!("CARGO_PKG_VERSION").into(),
        kind: kind.into(),
        meta: meta.clone(),
        arrays,
    };
    let mut out = serde_json::to_vec(&header).expect("compiler bug: a header of strings and numbers has a JSON form");
    let mut all = Rolling::default();
    all.update(&start(at));
    hashes.into_iter().for_each(|h| {
        all.update(&h.0);
    });
    let hash = all.update(&out).finish();
    out.extend(hash.0);
    out
}

/// A whole file.
pub fn encode(key: &Fingerprint, artifact: &Artifact) -> Vec<u8> {
    let (ranges, header) = places(artifact.arrays.values().map(|t| &t.ty));
    let mut out = Vec::with_capacity(header + 1024);
    out.extend(start(header));
    let mut hashes = vec![];
    for (t, range) in artifact.arrays.values().zip(ranges) {
        match cfg!(target_endian = "little") {
            true => out.extend(t.raw()),
            false => out.extend(t.bytes()),
        }
        out.resize(range.end, 0);
        hashes.push(Fingerprint::of(&out[range]));
    }
    let arrays = artifact.arrays.iter().map(|(name, t)| (name.as_str(), &t.ty));
    out.extend(end(key, (&artifact.kind, &artifact.meta), arrays, hashes));
    out
}

/// A file in memory.
///
/// # Errors
/// What is wrong with it, in a few words.
pub fn decode(file: &[u8], key: &Fingerprint) -> Result<Artifact, &'static str> {
    let parts = Parts::of(file, key)?;
    parts.verify(file, &|_| {})?;
    parts.artifact(|ty, range| Some(tensor(ty, &file[range])))
}

/// A file that is mapped, whose arrays stay in it.
///
/// # Errors
/// What is wrong with it, in a few words.
pub fn decode_mapped(file: &Arc<dyn Mapped>, key: &Fingerprint, verify: bool) -> Result<Artifact, &'static str> {
    let parts = Parts::of(file.bytes(), key)?;
    if verify {
        parts.verify(file.bytes(), &|range| file.release(range))?;
    }
    parts.artifact(|ty, range| Tensor::mapped(&ty, file.clone(), range.start))
}

/// The header of a file, without a look at its arrays.
pub fn header(file: &[u8], key: &Fingerprint) -> Result<Header, &'static str> {
    Ok(Parts::of(file, key)?.header)
}

struct Parts {
    header: Header,
    text: Range<usize>,
    arrays: Vec<Range<usize>>,
    hash: [u8; HASH],
}

impl Parts {
    fn of(file: &[u8], key: &Fingerprint) -> Result<Parts, &'static str> {
        let (magic, at) = file.get(..START).ok_or("truncated")?.split_at(8);
        if magic != MAGIC {
            return Err("it is not a result of this version of mslc");
        }
        let at = u64::from_le_bytes(at.try_into().map_err(|_| "truncated")?);
        let at = usize::try_from(at).map_err(|_| "its header is not readable")?;
        let (text, hash) = file.get(at..).and_then(|rest| rest.split_last_chunk::<HASH>()).ok_or("truncated")?;
        let header: Header = serde_json::from_slice(text).map_err(|_| "its header is not readable")?;
        if header.key != key.hex() {
            return Err("it belongs to another task");
        }
        let total = header.arrays.iter().try_fold(0usize, |sum, a| {
            let n = a.ty.shape.iter().try_fold(a.ty.dtype.size(), |n, extent| n.checked_mul(*extent))?;
            sum.checked_add(n)
        });
        let (arrays, begins) = places(header.arrays.iter().map(|a| &a.ty));
        if total.is_none() || begins != at {
            return Err("truncated");
        }
        Ok(Parts { header, text: at..at + text.len(), arrays, hash: *hash })
    }

    fn verify(&self, file: &[u8], looked: &dyn Fn(Range<usize>)) -> Result<(), &'static str> {
        let mut all = Rolling::default();
        all.update(&file[..START]);
        for range in &self.arrays {
            let mut hash = Rolling::default();
            for first in range.clone().step_by(PIECE) {
                let piece = first..range.end.min(first + PIECE);
                hash.update(&file[piece.clone()]);
                looked(piece);
            }
            all.update(&hash.finish().0);
        }
        match all.update(&file[self.text.clone()]).finish().0 == self.hash {
            true => Ok(()),
            false => Err("its hash does not fit its content"),
        }
    }

    fn artifact(self, tensor: impl Fn(Type, Range<usize>) -> Option<Tensor>) -> Result<Artifact, &'static str> {
        let mut arrays = IndexMap::new();
        for (a, range) in self.header.arrays.into_iter().zip(self.arrays) {
            let range = range.start..range.start + size(&a.ty);
            arrays.insert(a.name, tensor(a.ty, range).ok_or("its arrays are not where they should be")?);
        }
        Ok(Artifact { kind: self.header.kind, meta: self.header.meta, arrays })
    }
}

fn tensor(ty: Type, bytes: &[u8]) -> Tensor {
    fn read<const N: usize, T>(bytes: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    let data = match ty.dtype {
        DType::F64 => Data::F64(read(bytes, f64::from_le_bytes).into()),
        DType::F32 => Data::F32(read(bytes, f32::from_le_bytes).into()),
        DType::Index => Data::Index(read(bytes, u32::from_le_bytes).into()),
    };
    Tensor { ty, data }
}
