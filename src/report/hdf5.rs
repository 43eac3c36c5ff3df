//! The HDF5 container, as far as results need it: groups, contiguous datasets and attributes, written once and whole.
//! Superblock of version 2, object headers of version 2, links in the headers of their groups.
//! [The HDF Group, HDF5 File Format Specification 3.0, §II–IV]

use crate::exec::fs::Pieces;
use std::io;

/// What a group holds.
pub enum Node<'a> {
    Group(Group<'a>),
    Dataset(Dataset<'a>),
}

#[derive(Default)]
pub struct Group<'a> {
    pub attributes: Vec<(String, Value<'a>)>,
    pub members: Vec<(String, Node<'a>)>,
}

/// An array of this shape, row by row.
pub struct Dataset<'a> {
    pub shape: Vec<usize>,
    pub values: Value<'a>,
    pub attributes: Vec<(String, Value<'a>)>,
}

/// Attributes are scalars where they are a text, else one-dimensional.
pub enum Value<'a> {
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    /// So many floats that are made while they are written: little-endian bytes, piece by piece. Of datasets alone.
    Made(usize, Box<Maker<'a>>),
}

/// Writes its values.
pub type Maker<'a> = dyn Fn(&mut Pieces) -> io::Result<()> + 'a;

impl<'a> Group<'a> {
    pub fn attribute(mut self, name: &str, value: Value<'a>) -> Group<'a> {
        self.attributes.push((name.into(), value));
        self
    }

    pub fn member(mut self, name: &str, node: Node<'a>) -> Group<'a> {
        self.members.push((name.into(), node));
        self
    }
}

/// A dataset of one axis.
pub fn list(values: Value) -> Node {
    let n = values.len();
    Node::Dataset(Dataset { shape: vec![n], values, attributes: vec![] })
}

/// Writes a file with this group at its root.
///
/// # Errors
/// Those of `out`.
pub fn write(root: &Group, out: &mut Pieces) -> io::Result<()> {
    // Where everything lies is known before the first byte is written.
    let mut plan = Plan { length: SUPERBLOCK, parts: vec![] };
    let address = group(root, &mut plan);
    let mut block = b"\x89HDF\r\n\x1a\n".to_vec();
    // Version; bytes of an address and of a length; flags.
    block.extend([2, 8, 8, 0]);
    for x in [0, NOWHERE, plan.length as u64, address] {
        block.extend(x.to_le_bytes());
    }
    block.extend(checksum(&block).to_le_bytes());
    out(&block)?;
    for part in &plan.parts {
        match part {
            Part::Bytes(bytes) => out(bytes)?,
            Part::Values(Value::Made(_, make)) => make(out)?,
            Part::Values(values) => out(&values.bytes())?,
        }
    }
    Ok(())
}

/// What follows the superblock.
struct Plan<'a> {
    length: usize,
    parts: Vec<Part<'a>>,
}

enum Part<'a> {
    Bytes(Vec<u8>),
    Values(&'a Value<'a>),
}

impl<'a> Plan<'a> {
    /// Fills up to a multiple of 8; gives this place.
    fn align(&mut self) -> usize {
        let missing = self.length.next_multiple_of(8) - self.length;
        self.add(Part::Bytes(vec![0; missing]), missing);
        self.length
    }

    fn add(&mut self, part: Part<'a>, bytes: usize) {
        self.length += bytes;
        self.parts.push(part);
    }
}

const SUPERBLOCK: usize = 48;
const NOWHERE: u64 = u64::MAX;

// Kinds of messages.
const DATASPACE: u8 = 1;
const LINK_INFO: u8 = 2;
const DATATYPE: u8 = 3;
const FILL_VALUE: u8 = 5;
const LINK: u8 = 6;
const LAYOUT: u8 = 8;
const GROUP_INFO: u8 = 10;
const ATTRIBUTE: u8 = 12;

impl Value<'_> {
    fn len(&self) -> usize {
        match self {
            Value::Text(_) => 1,
            Value::Integers(x) => x.len(),
            Value::Floats(x) => x.len(),
            Value::Made(n, _) => *n,
        }
    }

    fn size(&self) -> usize {
        if let Value::Text(s) = self { s.len() } else { 8 * self.len() }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Value::Text(s) => s.bytes().collect(),
            Value::Integers(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Value::Floats(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Value::Made(..) => unreachable!("compiler bug: an attribute that is made"),
        }
    }

    /// Class and version, class bits, size, properties.
    fn datatype(&self) -> Vec<u8> {
        match self {
            // Padded with zeros; in ASCII where that will do.
            Value::Text(s) => {
                let bits = if s.is_ascii() { 0x01 } else { 0x11 };
                [&[0x13, bits, 0, 0], &(s.len() as u32).to_le_bytes()[..]].concat()
            }
            // Signed, of 64 bits.
            Value::Integers(_) => vec![0x10, 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0],
            // IEEE 754, of 64 bits.
            Value::Floats(_) | Value::Made(..) => {
                vec![0x11, 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 0x03, 0, 0]
            }
        }
    }
}

/// Writes a group and all below it; gives the address of its header.
fn group<'a>(g: &'a Group<'a>, out: &mut Plan<'a>) -> u64 {
    let mut messages = vec![
        (LINK_INFO, [&[0, 0][..], &NOWHERE.to_le_bytes(), &NOWHERE.to_le_bytes()].concat()),
        (GROUP_INFO, vec![0, 0]),
    ];
    for (name, node) in &g.members {
        let address = match node {
            Node::Group(inner) => group(inner, out),
            Node::Dataset(d) => dataset(d, out),
        };
        // A hard link; the name in UTF-8, its length in two bytes.
        let mut link = vec![1, 0x11, 1];
        link.extend((name.len() as u16).to_le_bytes());
        link.extend(name.bytes());
        link.extend(address.to_le_bytes());
        messages.push((LINK, link));
    }
    messages.extend(g.attributes.iter().map(|(name, value)| (ATTRIBUTE, attribute(name, value))));
    header(&messages, out)
}

fn dataset<'a>(d: &'a Dataset<'a>, out: &mut Plan<'a>) -> u64 {
    let size = d.values.size();
    let at = if size == 0 { NOWHERE } else { out.align() as u64 };
    out.add(Part::Values(&d.values), size);
    let mut messages = vec![
        (DATASPACE, dataspace(&d.shape)),
        (DATATYPE, d.values.datatype()),
        (FILL_VALUE, vec![3, 0x0a]),
        (LAYOUT, [&[3, 1][..], &at.to_le_bytes(), &(size as u64).to_le_bytes()].concat()),
    ];
    messages.extend(d.attributes.iter().map(|(name, value)| (ATTRIBUTE, attribute(name, value))));
    header(&messages, out)
}

fn dataspace(shape: &[usize]) -> Vec<u8> {
    let mut space = vec![2, shape.len() as u8, 0, u8::from(!shape.is_empty())];
    space.extend(shape.iter().flat_map(|n| (*n as u64).to_le_bytes()));
    space
}

fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let space = match value {
        Value::Text(_) => dataspace(&[]),
        _ => dataspace(&[value.len()]),
    };
    let ty = value.datatype();
    let mut out = vec![3, 0];
    for n in [name.len() + 1, ty.len(), space.len()] {
        out.extend((n as u16).to_le_bytes());
    }
    // The name is in UTF-8.
    out.push(1);
    out.extend(name.bytes());
    out.push(0);
    [out, ty, space, value.bytes()].concat()
}

/// Writes an object header; gives its address.
fn header(messages: &[(u8, Vec<u8>)], out: &mut Plan) -> u64 {
    let at = out.align();
    let size: usize = messages.iter().map(|(_, m)| m.len() + 4).sum();
    let mut bytes = b"OHDR".to_vec();
    // Version; four bytes for the size of what follows.
    bytes.extend([2, 0x02]);
    bytes.extend((size as u32).to_le_bytes());
    for (kind, message) in messages {
        bytes.push(*kind);
        bytes.extend((message.len() as u16).to_le_bytes());
        bytes.push(0);
        bytes.extend(message);
    }
    bytes.extend(checksum(&bytes).to_le_bytes());
    let size = bytes.len();
    out.add(Part::Bytes(bytes), size);
    at as u64
}

/// `lookup3`, with the initial value 0. [Jenkins 2006]
fn checksum(bytes: &[u8]) -> u32 {
    let mut s = [0xdead_beef_u32.wrapping_add(bytes.len() as u32); 3];
    let word = |b: &[u8], k: usize| {
        (0..4).map(|i| (b.get(4 * k + i).copied().unwrap_or(0) as u32) << (8 * i)).fold(0u32, |a, b| a | b)
    };
    let mut rest = bytes;
    while rest.len() > 12 {
        s.iter_mut().enumerate().for_each(|(k, s)| *s = s.wrapping_add(word(rest, k)));
        for (k, turn) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
            let (a, b, c) = (k % 3, (k + 1) % 3, (k + 2) % 3);
            s[a] = s[a].wrapping_sub(s[c]) ^ s[c].rotate_left(turn);
            s[c] = s[c].wrapping_add(s[b]);
        }
        rest = &rest[12..];
    }
    if rest.is_empty() {
        return s[2];
    }
    s.iter_mut().enumerate().for_each(|(k, s)| *s = s.wrapping_add(word(rest, k)));
    let [mut a, mut b, mut c] = s;
    let mix = |x: &mut u32, y: u32, turn: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(turn));
    mix(&mut c, b, 14);
    mix(&mut a, c, 11);
    mix(&mut b, a, 25);
    mix(&mut c, b, 16);
    mix(&mut a, c, 4);
    mix(&mut b, a, 14);
    mix(&mut c, b, 24);
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the author of the hash gives for it.
    #[test]
    fn the_checksum_is_that_of_lookup3() {
        assert_eq!(checksum(b""), 0xdead_beef);
        assert_eq!(checksum(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn a_file_begins_and_ends_where_its_superblock_says() {
        let root =
            Group::default().attribute("Type", Value::Text("x".into())).member("a", list(Value::Floats(vec![1.5])));
        let mut bytes = vec![];
        write(&root, &mut |piece| {
            bytes.extend(piece);
            Ok(())
        })
        .unwrap();
        let at = |i: usize| u64::from_le_bytes(bytes[i..i + 8].try_into().unwrap()) as usize;
        assert_eq!(at(28), bytes.len());
        assert_eq!(&bytes[at(36)..][..4], b"OHDR");
        assert_eq!(checksum(&bytes[..44]).to_le_bytes(), bytes[44..48]);
    }
}
