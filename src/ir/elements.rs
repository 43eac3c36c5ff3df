//! Shared, immutable elements of tensors: in memory, or in a file that is mapped into it and read as it is touched.

use crate::base::Fingerprint;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Elements that never change, by reference.
pub struct Elements<T> {
    place: Place<T>,
}

enum Place<T> {
    Memory(Arc<[T]>),
    /// The same, taken over without a copy.
    Vector(Arc<Vec<T>>),
    Mapped {
        file: Arc<dyn Mapped>,
        start: usize,
        elements: *const T,
        len: usize,
    },
}

/// A file that is mapped into memory and does not change while it is.
pub trait Mapped: Send + Sync {
    fn bytes(&self) -> &[u8];

    /// Gives back the memory of these bytes; they are read again from the file when they are touched again.
    fn release(&self, bytes: Range<usize>);

    /// Identifies the content, as a hash of what it was computed by or from.
    fn name(&self) -> Fingerprint;
}

/// What can be read from a file as it is: any bits are a value.
pub trait Plain: Copy + Send + Sync + 'static {}
impl Plain for f64 {}
impl Plain for f32 {}
impl Plain for u32 {}

// SAFETY: elements are never written, and live as long as the file they point into, which is shared between threads itself.
unsafe impl<T: Plain> Send for Elements<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Elements<T> {}

impl<T: Plain> Elements<T> {
    /// `len` elements from byte `start` of a file in the order of bytes of this machine. None where they do not lie in it, or not at
    /// a multiple of their size.
    pub fn mapped(file: Arc<dyn Mapped>, start: usize, len: usize) -> Option<Elements<T>> {
        let bytes = file.bytes().get(start..start.checked_add(len.checked_mul(size_of::<T>())?)?)?;
        let elements = bytes.as_ptr().cast::<T>();
        if cfg!(target_endian = "big") || !elements.is_aligned() {
            return None;
        }
        Some(Elements { place: Place::Mapped { file, start, elements, len } })
    }

    /// Some of them, without a copy where they are in a file.
    pub fn part(&self, range: Range<usize>) -> Elements<T> {
        match &self.place {
            Place::Memory(x) => x[range].into(),
            Place::Vector(x) => x[range].into(),
            Place::Mapped { file, start, .. } => {
                let part = Elements::mapped(file.clone(), start + range.start * size_of::<T>(), range.len());
                part.filter(|_| range.end <= self.len()).expect("compiler bug: a part beyond the elements")
            }
        }
    }

    /// Identifies elements in a file without reading them.
    pub fn name(&self) -> Option<(Fingerprint, usize)> {
        match &self.place {
            Place::Memory(_) | Place::Vector(_) => None,
            Place::Mapped { file, start, .. } => Some((file.name(), *start)),
        }
    }

    /// The elements as they lie in memory.
    pub fn raw(&self) -> &[u8] {
        // SAFETY: so many bytes lie there, and any byte may be read.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), size_of_val::<[T]>(self)) }
    }

    /// Gives back the memory of elements in a file.
    pub fn release(&self) {
        if let Place::Mapped { file, start, len, .. } = &self.place {
            file.release(*start..start + len * size_of::<T>());
        }
    }
}

impl<T> Deref for Elements<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.place {
            Place::Memory(x) => x,
            Place::Vector(x) => x,
            // SAFETY: `mapped` has found so many aligned elements there, and the file lives as long as this.
            Place::Mapped { elements, len, .. } => unsafe { std::slice::from_raw_parts(*elements, *len) },
        }
    }
}

impl<T> Clone for Elements<T> {
    fn clone(&self) -> Elements<T> {
        let place = match &self.place {
            Place::Memory(x) => Place::Memory(x.clone()),
            Place::Vector(x) => Place::Vector(x.clone()),
            Place::Mapped { file, start, elements, len } => {
                Place::Mapped { file: file.clone(), start: *start, elements: *elements, len: *len }
            }
        };
        Elements { place }
    }
}

impl<T: fmt::Debug> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> From<Arc<[T]>> for Elements<T> {
    fn from(x: Arc<[T]>) -> Elements<T> {
        Elements { place: Place::Memory(x) }
    }
}

impl<T> From<Vec<T>> for Elements<T> {
    fn from(x: Vec<T>) -> Elements<T> {
        Elements { place: Place::Vector(Arc::new(x)) }
    }
}

impl<T, const N: usize> From<[T; N]> for Elements<T> {
    fn from(x: [T; N]) -> Elements<T> {
        Arc::<[T]>::from(x).into()
    }
}

impl<T: Clone> From<&[T]> for Elements<T> {
    fn from(x: &[T]) -> Elements<T> {
        Arc::<[T]>::from(x).into()
    }
}

impl<T> FromIterator<T> for Elements<T> {
    fn from_iter<I: IntoIterator<Item = T>>(x: I) -> Elements<T> {
        x.into_iter().collect::<Arc<[T]>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<f64>);

    impl Mapped for Bytes {
        fn bytes(&self) -> &[u8] {
            // SAFETY: the bytes of numbers.
            unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), 8 * self.0.len()) }
        }
        fn release(&self, _: Range<usize>) {}
        fn name(&self) -> Fingerprint {
            Fingerprint::of(b"bytes")
        }
    }

    #[test]
    fn elements_of_a_file_are_those_of_memory() {
        let file: Arc<dyn Mapped> = Arc::new(Bytes(vec![1.0, 2.0, 3.0, 4.0]));
        let x = Elements::<f64>::mapped(file.clone(), 8, 3).unwrap();
        assert_eq!(&x[..], [2.0, 3.0, 4.0]);
        assert_eq!(&x.part(1..3)[..], [3.0, 4.0]);
        assert_eq!(x.part(1..3).name(), Some((Fingerprint::of(b"bytes"), 16)));
        assert_eq!(&Elements::from(vec![2.0, 3.0]).part(1..2)[..], [3.0]);
        assert!(Elements::<f64>::mapped(file.clone(), 8, 4).is_none(), "beyond the end");
        assert!(Elements::<f64>::mapped(file.clone(), 4, 1).is_none(), "not aligned");
        assert!(Elements::<f64>::mapped(file, usize::MAX, 1).is_none());
    }
}
