//! Elements in memory: owned buffers of a workspace and borrowed views of them.

use crate::ir::{DType, Data, Tensor, Type};

#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
    Index(&'a [u32]),
}

#[derive(Debug)]
pub enum ViewMut<'a> {
    F64(&'a mut [f64]),
    F32(&'a mut [f32]),
    Index(&'a mut [u32]),
}

#[derive(Clone, Debug)]
pub enum Buffer {
    F64(Vec<f64>),
    F32(Vec<f32>),
    Index(Vec<u32>),
}

/// What a buffer can hold.
pub trait Element: Copy + Default + Send + Sync + PartialEq + 'static {
    fn of(v: View<'_>) -> &[Self];
    fn of_mut(v: ViewMut<'_>) -> &mut [Self];
}

macro_rules! element {
    ($t:ty, $variant:ident) => {
        impl Element for $t {
            fn of(v: View<'_>) -> &[$t] {
                match v {
                    View::$variant(x) => x,
                    _ => panic!("compiler bug: a view of another element type"),
                }
            }
            fn of_mut(v: ViewMut<'_>) -> &mut [$t] {
                match v {
                    ViewMut::$variant(x) => x,
                    _ => panic!("compiler bug: a view of another element type"),
                }
            }
        }
    };
}
element!(f64, F64);
element!(f32, F32);
element!(u32, Index);

/// Runs an expression with `$t` the element type of a [`DType`].
macro_rules! with_dtype {
    ($dtype:expr, $t:ident => $e:expr) => {
        match $dtype {
            $crate::ir::DType::F64 => {
                type $t = f64;
                $e
            }
            $crate::ir::DType::F32 => {
                type $t = f32;
                $e
            }
            $crate::ir::DType::Index => {
                type $t = u32;
                $e
            }
        }
    };
}
/// The same for floats.
macro_rules! with_float {
    ($dtype:expr, $t:ident => $e:expr) => {
        match $dtype {
            $crate::ir::DType::F64 => {
                type $t = f64;
                $e
            }
            $crate::ir::DType::F32 => {
                type $t = f32;
                $e
            }
            $crate::ir::DType::Index => panic!("compiler bug: arithmetic on indices"),
        }
    };
}
pub(super) use {with_dtype, with_float};

impl<'a> View<'a> {
    pub fn of_tensor(t: &'a Tensor) -> View<'a> {
        match &t.data {
            Data::F64(d) => View::F64(d),
            Data::F32(d) => View::F32(d),
            Data::Index(d) => View::Index(d),
        }
    }

    pub fn dtype(&self) -> DType {
        match self {
            View::F64(_) => DType::F64,
            View::F32(_) => DType::F32,
            View::Index(_) => DType::Index,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            View::F64(x) => x.len(),
            View::F32(x) => x.len(),
            View::Index(x) => x.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` elements from `start`.
    pub fn part(self, start: usize, len: usize) -> View<'a> {
        match self {
            View::F64(x) => View::F64(&x[start..start + len]),
            View::F32(x) => View::F32(&x[start..start + len]),
            View::Index(x) => View::Index(&x[start..start + len]),
        }
    }

    /// The first element as a number.
    pub fn item(&self) -> f64 {
        match self {
            View::F64(x) => x[0],
            View::F32(x) => x[0] as f64,
            View::Index(x) => x[0] as f64,
        }
    }

    pub fn number(&self, i: usize) -> f64 {
        match self {
            View::F64(x) => x[i],
            View::F32(x) => x[i] as f64,
            View::Index(x) => x[i] as f64,
        }
    }

    /// The elements as they lie in memory.
    pub fn raw(&self) -> &'a [u8] {
        fn of<T>(x: &[T]) -> &[u8] {
            // SAFETY: numbers are made of so many bytes, each of which may be read.
            unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), size_of_val(x)) }
        }
        match self {
            View::F64(x) => of(x),
            View::F32(x) => of(x),
            View::Index(x) => of(x),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            View::F64(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            View::F32(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            View::Index(x) => x.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        }
    }

    pub fn to_tensor(self, ty: &Type) -> Tensor {
        let data = match self {
            View::F64(x) => Data::F64(x.into()),
            View::F32(x) => Data::F32(x.into()),
            View::Index(x) => Data::Index(x.into()),
        };
        Tensor { ty: ty.clone(), data }
    }
}

impl<'a> ViewMut<'a> {
    pub fn view(&self) -> View<'_> {
        match self {
            ViewMut::F64(x) => View::F64(x),
            ViewMut::F32(x) => View::F32(x),
            ViewMut::Index(x) => View::Index(x),
        }
    }

    pub fn into_view(self) -> View<'a> {
        match self {
            ViewMut::F64(x) => View::F64(x),
            ViewMut::F32(x) => View::F32(x),
            ViewMut::Index(x) => View::Index(x),
        }
    }

    pub fn reborrow(&mut self) -> ViewMut<'_> {
        match self {
            ViewMut::F64(x) => ViewMut::F64(x),
            ViewMut::F32(x) => ViewMut::F32(x),
            ViewMut::Index(x) => ViewMut::Index(x),
        }
    }

    /// `len` elements from `start`.
    pub fn part(self, start: usize, len: usize) -> ViewMut<'a> {
        match self {
            ViewMut::F64(x) => ViewMut::F64(&mut x[start..start + len]),
            ViewMut::F32(x) => ViewMut::F32(&mut x[start..start + len]),
            ViewMut::Index(x) => ViewMut::Index(&mut x[start..start + len]),
        }
    }

    /// The first `len` elements, and the rest.
    pub fn split(self, len: usize) -> (ViewMut<'a>, ViewMut<'a>) {
        match self {
            ViewMut::F64(x) => {
                let (a, b) = x.split_at_mut(len);
                (ViewMut::F64(a), ViewMut::F64(b))
            }
            ViewMut::F32(x) => {
                let (a, b) = x.split_at_mut(len);
                (ViewMut::F32(a), ViewMut::F32(b))
            }
            ViewMut::Index(x) => {
                let (a, b) = x.split_at_mut(len);
                (ViewMut::Index(a), ViewMut::Index(b))
            }
        }
    }

    /// Copies `len` elements that start at `from` to where `to` says.
    pub fn copy_within(&mut self, from: usize, to: usize, len: usize) {
        match self {
            ViewMut::F64(x) => x.copy_within(from..from + len, to),
            ViewMut::F32(x) => x.copy_within(from..from + len, to),
            ViewMut::Index(x) => x.copy_within(from..from + len, to),
        }
    }

    pub fn copy_from(&mut self, v: View<'_>) {
        match (self, v) {
            (ViewMut::F64(y), View::F64(x)) => y.copy_from_slice(x),
            (ViewMut::F32(y), View::F32(x)) => y.copy_from_slice(x),
            (ViewMut::Index(y), View::Index(x)) => y.copy_from_slice(x),
            _ => panic!("compiler bug: a copy between element types"),
        }
    }
}

impl Default for ViewMut<'_> {
    fn default() -> Self {
        ViewMut::F64(&mut [])
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::F64(vec![])
    }
}

impl Buffer {
    pub fn copy_of(v: View) -> Buffer {
        match v {
            View::F64(x) => Buffer::F64(x.to_vec()),
            View::F32(x) => Buffer::F32(x.to_vec()),
            View::Index(x) => Buffer::Index(x.to_vec()),
        }
    }

    pub fn zeros(dtype: DType, len: usize) -> Buffer {
        match dtype {
            DType::F64 => Buffer::F64(vec![0.0; len]),
            DType::F32 => Buffer::F32(vec![0.0; len]),
            DType::Index => Buffer::Index(vec![0; len]),
        }
    }

    /// These numbers, rounded to the type.
    pub fn of(dtype: DType, numbers: &[f64]) -> Buffer {
        match dtype {
            DType::F64 => Buffer::F64(numbers.to_vec()),
            DType::F32 => Buffer::F32(numbers.iter().map(|&x| x as f32).collect()),
            DType::Index => Buffer::Index(numbers.iter().map(|&x| x as u32).collect()),
        }
    }

    /// As a tensor of so many elements, without a copy.
    pub fn into_tensor(self, ty: &Type) -> Tensor {
        assert_eq!(self.view().len(), ty.len(), "compiler bug: a buffer as a tensor of type {ty}");
        let data = match self {
            Buffer::F64(x) => Data::F64(x.into()),
            Buffer::F32(x) => Data::F32(x.into()),
            Buffer::Index(x) => Data::Index(x.into()),
        };
        Tensor { ty: ty.clone(), data }
    }

    pub fn view(&self) -> View<'_> {
        match self {
            Buffer::F64(x) => View::F64(x),
            Buffer::F32(x) => View::F32(x),
            Buffer::Index(x) => View::Index(x),
        }
    }

    pub fn view_mut(&mut self) -> ViewMut<'_> {
        match self {
            Buffer::F64(x) => ViewMut::F64(x),
            Buffer::F32(x) => ViewMut::F32(x),
            Buffer::Index(x) => ViewMut::Index(x),
        }
    }
}
