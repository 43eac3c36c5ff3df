//! Tensors, there and back.

use crate::ir::{DType, Data, Tensor, Type};
use candle_core::{DType as CType, Device, Error, Tensor as CTensor};

pub fn ctype(d: DType) -> CType {
    match d {
        DType::F64 => CType::F64,
        DType::F32 => CType::F32,
        DType::Index => CType::U32,
    }
}

pub fn to_candle(t: &Tensor) -> Result<CTensor, Error> {
    let shape = t.ty.shape.clone();
    match &t.data {
        Data::F64(d) => CTensor::from_slice(d, shape, &Device::Cpu),
        Data::F32(d) => CTensor::from_slice(d, shape, &Device::Cpu),
        Data::Index(d) => CTensor::from_slice(d, shape, &Device::Cpu),
    }
}

pub fn from_candle(t: &CTensor, ty: &Type) -> Result<Tensor, Error> {
    let flat = t.flatten_all()?;
    let data = match ty.dtype {
        DType::F64 => Data::F64(flat.to_vec1::<f64>()?.into()),
        DType::F32 => Data::F32(flat.to_vec1::<f32>()?.into()),
        DType::Index => Data::Index(flat.to_vec1::<u32>()?.into()),
    };
    Ok(Tensor { ty: ty.clone(), data })
}

pub fn numbers(t: &CTensor) -> Result<Vec<f64>, Error> {
    t.flatten_all()?.to_dtype(CType::F64)?.to_vec1()
}

pub fn stack<'a>(ty: &Type, items: impl Iterator<Item = &'a CTensor>) -> Result<CTensor, Error> {
    let items: Vec<&CTensor> = items.collect();
    if items.is_empty() { to_candle(&Tensor::zeros(ty)) } else { CTensor::stack(&items, 0) }
}
