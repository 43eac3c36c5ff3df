//! Floats in checkpoints as hexadecimal bits: exact in every serde format (decimal JSON may lose the last bit, and NaN).
//! Used as `#[serde(with = "bits")]` on slices of floats.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// A float with a bit pattern.
pub trait Bits: Copy {
    const DIGITS: usize;
    fn to_hex(self) -> String;
    fn from_hex(text: &str) -> Option<Self>;
}

macro_rules! float_bits {
    ($t:ty, $u:ty) => {
        impl Bits for $t {
            const DIGITS: usize = 2 * size_of::<$u>();
            fn to_hex(self) -> String {
                format!("{:0w$x}", self.to_bits(), w = <Self as Bits>::DIGITS)
            }
            fn from_hex(text: &str) -> Option<$t> {
                <$u>::from_str_radix(text, 16).ok().map(<$t>::from_bits)
            }
        }
    };
}
float_bits!(f32, u32);
float_bits!(f64, u64);

pub fn serialize<T: Bits, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&values.iter().map(|v| v.to_hex()).collect::<String>())
}

pub fn deserialize<'de, T: Bits, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() % T::DIGITS != 0 || !text.is_ascii() {
        return Err(D::Error::custom("a list of floats has a broken length"));
    }
    let floats = (0..text.len() / T::DIGITS).map(|i| T::from_hex(&text[i * T::DIGITS..(i + 1) * T::DIGITS]));
    floats
        .collect::<Option<Vec<T>>>()
        .ok_or_else(|| D::Error::custom("a list of floats has a character that is no digit"))
}

#[cfg(test)]
mod tests {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Holder(#[serde(with = "super")] Vec<f64>);

    #[test]
    fn every_bit_survives() {
        let values = vec![0.1 + 0.2, -0.0, f64::NAN, f64::NEG_INFINITY, 5e-324, 1.0 / 3.0];
        let text = serde_json::to_string(&Holder(values.clone())).unwrap();
        let back: Holder = serde_json::from_str(&text).unwrap();
        assert!(back.0.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()) && back.0.len() == values.len());
        assert!(serde_json::from_str::<Holder>("\"abc\"").is_err());
        assert!(serde_json::from_str::<Holder>("\"zzzzzzzzzzzzzzzz\"").is_err());
    }
}
