//! Element types, tensor types and tensor values. Row-major, dense.

use super::elements::{Elements, Mapped};
use crate::base::Fingerprint;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum DType {
    F64,
    F32,
    /// Unsigned 32-bit, for `Gather` and `ScatterAdd` only.
    Index,
}

impl DType {
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::Index => 4,
        }
    }

    pub fn is_float(self) -> bool {
        self != DType::Index
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Type {
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl Type {
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    pub fn f64(shape: impl Into<Vec<usize>>) -> Type {
        Type::new(DType::F64, shape)
    }

    pub fn f32(shape: impl Into<Vec<usize>>) -> Type {
        Type::new(DType::F32, shape)
    }

    pub fn index(shape: impl Into<Vec<usize>>) -> Type {
        Type::new(DType::Index, shape)
    }

    pub fn scalar(dtype: DType) -> Type {
        Type::new(dtype, [])
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_scalar(&self) -> bool {
        self.shape.is_empty()
    }
}

/// `f64[3,4]`, `f32[]`
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.dtype {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::Index => "index",
        };
        let shape: Vec<String> = self.shape.iter().map(|n| n.to_string()).collect();
        write!(f, "{name}[{}]", shape.join(","))
    }
}

/// Shared, immutable elements.
#[derive(Clone, Debug)]
pub enum Data {
    F64(Elements<f64>),
    F32(Elements<f32>),
    Index(Elements<u32>),
}

/// A dense value. Equality and hashing are by bits (NaN equals itself, 0 differs from -0), as hash-consing needs;
/// elements in a file are what they are by their place in it, and are not read for this.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub ty: Type,
    pub data: Data,
}

impl Tensor {
    pub fn f64(shape: impl Into<Vec<usize>>, data: impl Into<Elements<f64>>) -> Tensor {
        let (ty, data) = (Type::f64(shape), data.into());
        assert_eq!(ty.len(), data.len(), "compiler bug: tensor of type {ty} with {} elements", data.len());
        Tensor { ty, data: Data::F64(data) }
    }

    pub fn f32(shape: impl Into<Vec<usize>>, data: impl Into<Elements<f32>>) -> Tensor {
        let (ty, data) = (Type::f32(shape), data.into());
        assert_eq!(ty.len(), data.len(), "compiler bug: tensor of type {ty} with {} elements", data.len());
        Tensor { ty, data: Data::F32(data) }
    }

    pub fn index(shape: impl Into<Vec<usize>>, data: impl Into<Elements<u32>>) -> Tensor {
        let (ty, data) = (Type::index(shape), data.into());
        assert_eq!(ty.len(), data.len(), "compiler bug: tensor of type {ty} with {} elements", data.len());
        Tensor { ty, data: Data::Index(data) }
    }

    /// Of this type, its entries rounded to it.
    pub fn of(ty: &Type, entries: &[f64]) -> Tensor {
        match ty.dtype {
            DType::F64 => Tensor::f64(ty.shape.clone(), entries),
            DType::F32 => Tensor::f32(ty.shape.clone(), entries.iter().map(|&x| x as f32).collect::<Vec<_>>()),
            DType::Index => Tensor::index(ty.shape.clone(), entries.iter().map(|&x| x as u32).collect::<Vec<_>>()),
        }
    }

    pub fn scalar(x: f64) -> Tensor {
        Tensor::f64([], [x])
    }

    /// All elements equal.
    pub fn full(ty: &Type, x: f64) -> Tensor {
        let n = ty.len();
        let data = match ty.dtype {
            DType::F64 => Data::F64(vec![x; n].into()),
            DType::F32 => Data::F32(vec![x as f32; n].into()),
            DType::Index => Data::Index(vec![x as u32; n].into()),
        };
        Tensor { ty: ty.clone(), data }
    }

    pub fn zeros(ty: &Type) -> Tensor {
        Tensor::full(ty, 0.0)
    }

    /// The elements as f64, whatever the type.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F64(d) => d.to_vec(),
            Data::F32(d) => d.iter().map(|&x| x as f64).collect(),
            Data::Index(d) => d.iter().map(|&x| x as f64).collect(),
        }
    }

    /// The elements without a copy, of an f64 tensor.
    pub fn as_f64(&self) -> Option<&[f64]> {
        if let Data::F64(d) = &self.data { Some(d) } else { None }
    }

    pub fn as_f32(&self) -> Option<&[f32]> {
        if let Data::F32(d) = &self.data { Some(d) } else { None }
    }

    pub fn as_index(&self) -> Option<&[u32]> {
        if let Data::Index(d) = &self.data { Some(d) } else { None }
    }

    /// The value of a one-element tensor, or of the first element.
    pub fn item(&self) -> f64 {
        match &self.data {
            Data::F64(d) => d[0],
            Data::F32(d) => d[0] as f64,
            Data::Index(d) => d[0] as f64,
        }
    }

    /// The same elements under another shape of the same size.
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Tensor {
        let ty = Type::new(self.ty.dtype, shape);
        assert_eq!(ty.len(), self.ty.len(), "compiler bug: reshape of {} to {ty}", self.ty);
        Tensor { ty, data: self.data.clone() }
    }

    /// Elements that lie in a file, from this byte on. None where they do not.
    pub fn mapped(ty: &Type, file: Arc<dyn Mapped>, start: usize) -> Option<Tensor> {
        let n = ty.len();
        let data = match ty.dtype {
            DType::F64 => Data::F64(Elements::mapped(file, start, n)?),
            DType::F32 => Data::F32(Elements::mapped(file, start, n)?),
            DType::Index => Data::Index(Elements::mapped(file, start, n)?),
        };
        Some(Tensor { ty: ty.clone(), data })
    }

    /// `t[i]` along the first axis; of elements in a file without a copy.
    pub fn item_at(&self, i: usize) -> Tensor {
        let ty = Type::new(self.ty.dtype, &self.ty.shape[1..]);
        let range = i * ty.len()..(i + 1) * ty.len();
        let data = match &self.data {
            Data::F64(d) => Data::F64(d.part(range)),
            Data::F32(d) => Data::F32(d.part(range)),
            Data::Index(d) => Data::Index(d.part(range)),
        };
        Tensor { ty, data }
    }

    /// The elements as they lie in memory.
    pub fn raw(&self) -> &[u8] {
        match &self.data {
            Data::F64(d) => d.raw(),
            Data::F32(d) => d.raw(),
            Data::Index(d) => d.raw(),
        }
    }

    /// Where the elements lie in a file: what identifies its content, and the first byte.
    pub fn in_file(&self) -> Option<(Fingerprint, usize)> {
        match &self.data {
            Data::F64(d) => d.name(),
            Data::F32(d) => d.name(),
            Data::Index(d) => d.name(),
        }
    }

    /// Gives back the memory of elements in a file, which are read again when they are touched again.
    pub fn release(&self) {
        match &self.data {
            Data::F64(d) => d.release(),
            Data::F32(d) => d.release(),
            Data::Index(d) => d.release(),
        }
    }

    /// The one value all elements share (by bits), if there is one.
    pub fn splat(&self) -> Option<f64> {
        if self.in_file().is_some() {
            // Not worth reading a file for.
            return None;
        }
        fn all<T: Copy>(d: &[T], bits: impl Fn(T) -> u64) -> Option<T> {
            let first = *d.first()?;
            d.iter().all(|&x| bits(x) == bits(first)).then_some(first)
        }
        match &self.data {
            Data::F64(d) => all(d, f64::to_bits),
            Data::F32(d) => all(d, |x| x.to_bits() as u64).map(|x| x as f64),
            Data::Index(d) => all(d, |x| x as u64).map(|x| x as f64),
        }
    }

    /// Little-endian bytes of the elements.
    pub fn bytes(&self) -> Vec<u8> {
        match &self.data {
            Data::F64(d) => d.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F32(d) => d.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Index(d) => d.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        if let (here, there) = (self.in_file(), other.in_file())
            && (here.is_some() || there.is_some())
        {
            return self.ty == other.ty && here == there;
        }
        self.ty == other.ty
            && match (&self.data, &other.data) {
                (Data::F64(a), Data::F64(b)) => {
                    std::ptr::eq(&a[..], &b[..]) || a.iter().zip(b.iter()).all(|(x, y)| x.to_bits() == y.to_bits())
                }
                (Data::F32(a), Data::F32(b)) => {
                    std::ptr::eq(&a[..], &b[..]) || a.iter().zip(b.iter()).all(|(x, y)| x.to_bits() == y.to_bits())
                }
                (Data::Index(a), Data::Index(b)) => a[..] == b[..],
                _ => false,
            }
    }
}

impl Eq for Tensor {}

impl std::hash::Hash for Tensor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
        if let Some(place) = self.in_file() {
            return place.hash(state);
        }
        // A prefix is enough to spread keys; equality settles the rest.
        match &self.data {
            Data::F64(d) => d.iter().take(64).for_each(|x| x.to_bits().hash(state)),
            Data::F32(d) => d.iter().take(64).for_each(|x| x.to_bits().hash(state)),
            Data::Index(d) => d.iter().take(64).for_each(|x| x.hash(state)),
        }
    }
}
